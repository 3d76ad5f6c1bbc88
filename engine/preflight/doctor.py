"""What a run finds here: machine, packages, model, browser; for a config its plan and its gate's power.

ratchet doctor configs/quickstart.yaml
"""

import platform
import shutil
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from configs.schema import Config, PassAtK, Sentinels
from engine.disk.storage import StorageError, require_storage
from engine.errors import Mistake
from engine.measure.elsewhere import require_transfer
from engine.models.base import FETCH, check_base, embedded_at
from engine.models.identity import ModelError
from engine.models.quantised import require_quantiser
from engine.plan.footprint import GIB, shape_of
from engine.plan.machine import Machine, cuda_installed, detect_gpus
from engine.plan.needs import PlanError
from engine.plan.plan import Group, Plan, as_declared, make_plan
from engine.preflight.findings import Finding
from engine.preflight.power import (
    ENOUGH,
    gate_power,
    guard_powers,
    pass_at_k_power,
    percent,
    sentinel_powers,
)
from engine.records import Problem
from engine.registry.lived import lived_before
from engine.tasks import suite_of
from engine.tasks.suite import Suite, kept_apart, notes_of

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def require_parts(config: Config) -> Suite:
    """The suite of a config whose task, exam, verifiers and training methods can all be used.

    Raises DataError as `suite_of`, for an unknown exam and for a transfer that cannot be measured,
    PluginError for an unusable verifier or method.
    """
    from engine.gate.exams import exam_of
    from engine.train.methods import load_method
    from engine.verify import require_verifiers

    suite = suite_of(config)
    exam_of(suite.task)
    require_verifiers(suite.task.verifiers)
    require_transfer(config, suite.task)
    for train in config.trains.values():
        load_method(train)
    return suite


def examine(machine: Machine, home: Path) -> list[Finding]:
    """The machine and what is installed on it. None of the packages that it names is imported."""
    findings = [
        Finding(
            section="machine", what="Python", found=f"{platform.python_version()} on {platform.platform()}"
        ),
        Finding(section="machine", what="cores", found=_cores(machine)),
        Finding(section="machine", what="free memory", found=_size(machine.memory)),
        Finding(section="machine", what="free disk", found=f"{_size(machine.disk)} for {home}"),
        _storage(home),
        _gpus(),
        *_packages(),
        _embedded(home),
    ]
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    findings.append(
        Finding(
            section="parts",
            what="Chromium (tests of the report)",
            found=browser or "not found",
            ok=browser is not None,
            remedy="" if browser else "install chromium, on Debian and Ubuntu: apt-get install chromium",
        )
    )
    return findings


def examine_config(config: Config, machine: Machine, home: Path) -> list[Finding]:
    """Whether the config can run, here or on the machine that it declares, and what its gate can detect.

    A config may ask for a larger machine than this one, so both findings are reported. Raises as
    `require_parts`, DataError where records do not suffice, PlanError where the plan fits neither, ModelError
    for an unusable base, RowError for a sentinel suite that cannot be read.
    """
    from engine.gate.exams import exam_of
    from engine.preflight.blocks import examine_records, examine_told, require_told

    suite, days = require_parts(config), lived_before(home, config).days
    require_told(config, suite, days)
    findings = []
    try:
        plan = make_plan(config, machine, home)
        findings.append(Finding(section="plan", what="on this machine", found="fits"))
    except PlanError as error:
        plan = make_plan(config, as_declared(config, machine), home)
        findings.append(Finding(section="plan", what="on this machine", found=str(error), ok=False))
        findings.append(Finding(section="plan", what="as declared", found="fits"))
    samples = exam_of(suite.task).samples
    notes = check_base(config.base, home, config.sampler.max_model_len, packed=config.packs)
    return [
        *findings,
        *_plan(config, plan),
        *(Finding(section="base", what="its directory", found=note) for note in notes),
        *_quantised(config),
        *examine_records(config, suite, home),
        *_gate(config, ties=samples),
        *(_campaign(config) if samples else []),
        *(_pass_at_k(config.gate.pass_at_k) if samples else []),
        *_sentinels(config.gate.sentinels, kept_apart(suite)),
        *_guards(config, suite, days),
        *(Finding(section="task", what="not used", found=note) for note in notes_of(suite)),
        *examine_told(config, suite),
    ]


def verdict(home: Path, ready: Callable[[], object] | None) -> Finding:
    """Whether `ratchet run` would start here: what decides about the exit code of `ratchet doctor`.

    `ready` checks a config as the run itself does before it writes anything, and raises what it would say;
    without a config there is only the storage to check.
    """
    found = "would start" if ready else "`ratchet doctor CONFIG` says whether it would start"
    try:
        require_storage(home)
        if ready:
            ready()
    except (Mistake, OSError) as error:
        return Finding(section="run", what="`ratchet run`", found=f"would be refused: {error}", ok=False)
    return Finding(section="run", what="`ratchet run`", found=found)


def _cores(machine: Machine) -> str:
    if machine.cpu_bf16 or machine.num_gpus:
        return str(machine.num_cpus)
    return f"{machine.num_cpus}, without instructions for bfloat16: models compute in float32 (dtype: auto)"


def _storage(home: Path) -> Finding:
    try:
        require_storage(home)
    except (StorageError, OSError) as error:
        return Finding(
            section="machine", what="storage", found=str(error), ok=False, remedy="set RATCHET_HOME"
        )
    return Finding(section="machine", what="storage", found="renames, appends and locks as it must")


def _gpus() -> Finding:
    gpus = detect_gpus()
    found = ", ".join(f"{gpu.name} ({_size(gpu.memory)})" for gpu in gpus) or "none"
    if gpus and not cuda_installed():
        remedy = "the CPU set is installed: `make clean setup` installs the GPU set where nvidia-smi works"
        return Finding(section="machine", what="GPUs", found=f"{found}, unusable", ok=False, remedy=remedy)
    return Finding(section="machine", what="GPUs", found=found)


def _packages() -> list[Finding]:
    remedy = "`make setup` installs the locked set"
    try:
        lines = metadata.requires("ratchet") or []
    except metadata.PackageNotFoundError:
        return [Finding(section="packages", what="ratchet", found="not installed", ok=False, remedy=remedy)]
    extra = "gpu" if cuda_installed() else "cpu"
    findings = []
    for requirement in map(Requirement, lines):
        pinned = any(specifier.operator == "==" for specifier in requirement.specifier)
        if not pinned or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = "missing"
        ok = version != "missing" and requirement.specifier.contains(version, prereleases=True)
        found = version if ok else f"{version}, pinned {requirement.specifier}"
        findings.append(
            Finding(
                section="packages", what=requirement.name, found=found, ok=ok, remedy="" if ok else remedy
            )
        )
    return findings


def _embedded(home: Path) -> Finding:
    there = (embedded_at(home) / "config.json").exists()
    return Finding(
        section="parts",
        what="embedded model",
        found="SmolLM2-135M-Instruct, converted" if there else f"not yet in {home}",
        ok=there,
        remedy="" if there else f"the first run fetches it; now: {FETCH}",
    )


def _plan(config: Config, plan: Plan) -> list[Finding]:
    findings = [
        Finding(section="plan", what="samplers", found=_group(plan.samplers)),
        *(
            Finding(section="plan", what=f"workers of {key}", found=_group(group))
            for key, group in plan.workers.items()
        ),
    ]
    turns = "samplers and trainer use the same " + ("cores" if plan.device == "cpu" else "GPUs") + " in turn"
    apart = "samplers and trainer each have their own GPUs"
    findings.append(Finding(section="plan", what="placement", found=turns if plan.take_turns else apart))
    for need in plan.needs:
        there = f" of {_size(need.available)}" if need.available is not None else ""
        findings.append(
            Finding(section="plan", what=f"{need.what}, at most", found=f"{_size(need.needed)}{there}")
        )
    if shape_of(config.base) is None:
        found = "unknown until the base is downloaded, or because its architecture is unknown"
        findings.append(Finding(section="plan", what="memory", found=found))
    return findings


def _gate(config: Config, *, ties: bool) -> list[Finding]:
    gain, design = gate_power(config.gate, config.gate.alpha / config.num_tests, ties=ties)
    what = "gain shown with 80 % power" if ties else "likelier, shown with 80 % power"
    if not gain:
        remedy = "more gate.looks, a larger gate.look_size or fewer gate.planned_tests"
        return [Finding(section="gate", what=what, found=f"none ({design})", ok=False, remedy=remedy)]
    return [Finding(section="gate", what=what, found=f"{gain} ({design})")]


def _quantised(config: Config) -> list[Finding]:
    """Whether the base can be held in as few bits as each training asks for."""
    findings = []
    for key, train in config.trains.items():
        if train.quantize:
            problem = ""
            try:
                require_quantiser(train.quantize)
            except ModelError as error:
                problem = str(error)
            found = problem or f"{train.quantize}, by bitsandbytes"
            findings.append(Finding(section="base", what=f"under {key}", found=found, ok=not problem))
    return findings


def _campaign(config: Config) -> list[Finding]:
    """What a campaign of several rounds can be expected to prove, simulated with the gate's own code."""
    from engine.gate.outlook import MIXTURES, Rule, expected

    if config.stop.rounds == 1:
        return []
    rule: Rule = "two pawls" if config.carry else "one pawl"
    outlook = expected(config.gate, config.stop.rounds, config.num_tests, rule, MIXTURES["even"])
    carried = f", working model at {100 * outlook.working:.1f} %" if config.carry else ""
    found = (
        f"{outlook.claims:.1f} gains, champion at {100 * outlook.champion:.1f} %{carried} "
        f"({config.stop.rounds} rounds from 50 %, challengers better, equal and worse in equal parts, by up "
        f"to 8 points; keeping whatever scores higher on as many problems ends at "
        f"{100 * outlook.if_higher:.1f} %, unproven)"
    )
    return [Finding(section="gate", what="proven, by simulation", found=found)]


def _pass_at_k(settings: PassAtK) -> list[Finding]:
    power, design = pass_at_k_power(settings)
    what = f"pass@{settings.k}: a harmless model passes"
    return [Finding(section="gate", what=what, found=f"with a chance of {percent(power)} ({design})")]


def _sentinels(settings: Sentinels, kept: Sequence[Problem]) -> list[Finding]:
    return [
        Finding(
            section="sentinels",
            what=f"{suite}: a harmless model passes",
            found=f"with a chance of {percent(power)} ({design})",
            ok=power >= ENOUGH,
            remedy="" if power >= ENOUGH else f"a larger {key}: under {percent(ENOUGH)} a run is refused",
        )
        for suite, key, design, power in sentinel_powers(settings, kept)
    ]


def _guards(config: Config, suite: Suite, days: int) -> list[Finding]:
    return [
        Finding(section="guards", what=each.what, found=each.design, ok=not each.remedy, remedy=each.remedy)
        for each in guard_powers(config, suite, days)
    ]


def _group(group: Group) -> str:
    gpus = f", {group.gpus:g} GPU each" if group.gpus else ""
    return f"{group.num} with {group.threads} thread{'s' if group.threads > 1 else ''} each{gpus}"


def _size(number: int | None) -> str:
    return "unknown" if number is None else f"{number / GIB:.1f} GiB"
