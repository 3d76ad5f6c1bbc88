"""What a run would find here: machine, packages, model, browser; for a config its plan and its gate's power.

Printed by `ratchet doctor configs/quickstart.yaml`.
"""

import math
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

from packaging.requirements import Requirement

from configs.schema import Config, Gate, Sentinels
from engine.footprint import GIB, shape_of
from engine.machine import Machine, cuda_installed, detect_gpus
from engine.plan import Group, Plan, PlanError, as_declared, make_plan
from engine.tasks import Suite
from engine.terminal import printable

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_LOST = 0.05
"""Assumed share of problems that only the champion passes, for the gate's power."""
_CHANGED = 0.10
"""Assumed share of a sentinel's requests that a harmless model answers otherwise, half of them each way."""
_SPREAD = 0.1
"""Assumed standard deviation, in nats per token, of how a harmless model's documents change."""
_ENOUGH = 0.8
"""A test with less power than this is not worth running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    section: str
    what: str
    found: str
    ok: bool = True
    """False where something is missing."""
    remedy: str = ""
    """How to get it."""


class SentinelPower(NamedTuple):
    """What a sentinel suite can show before it is run."""

    suite: str
    key: str
    """Where the config sets its margin."""
    design: str
    """Its size, its margin, and what is assumed of a harmless model."""
    power: float
    """Chance that a harmless model passes."""


def sentinel_powers(settings: Sentinels) -> list[SentinelPower]:
    """Chance of a harmless model to pass each suite: too small a suite, or margin, refuses good models.

    Exact for proportions; for perplexity the mean of the documents is taken as normal.
    """
    from engine.gate import sentinel_power
    from engine.sentinels import SUITES, english, instructions

    powers = []
    for suite in settings.suites:
        if SUITES[suite] == "perplexity":
            key = "gate.sentinels.perplexity_ratio"
            num, margin = len(english()), f"perplexity ratio under {settings.perplexity_ratio:g}"
            room = math.log(settings.perplexity_ratio) * math.sqrt(num) / _SPREAD
            power = NormalDist().cdf(room - NormalDist().inv_cdf(0.95))
            design = f"{num} documents, {margin}, changes spread by {_SPREAD:g} nats a token"
        else:
            key = "gate.sentinels.margin"
            num, margin = len(instructions()), f"drop under {100 * settings.margin:g} %"
            power = sentinel_power(num, settings.margin, _CHANGED)
            design = f"{num} requests, {margin}, {100 * _CHANGED:g} % answered otherwise"
        powers.append(SentinelPower(suite=suite, key=key, design=design, power=power))
    return powers


def require_power(settings: Sentinels) -> None:
    """Refuse sentinel suites too small to show no harm within their margins. Raises GateError."""
    from engine.gate import GateError

    for suite, key, design, power in sentinel_powers(settings):
        if power < _ENOUGH:
            raise GateError(
                f"{key} is too small for the sentinel suite {suite}: a harmless model would pass with a "
                f"chance of {_percent(power)} ({design}), needed are {_percent(_ENOUGH)}"
            )


def suite_of(config: Config) -> Suite:
    """The task with its mixture. Raises engine.tasks.DataError for an unknown task or slice, and for more
    questions a story than it can ask."""
    suite, warm = Suite(config.task.name, config.task.slices), config.warm_start
    suite.require_questions(max(config.propose.questions, warm.questions if warm else 1))
    return suite


def require_ready(config: Config, home: Path, run_id: str) -> None:
    """Refuse a new run for what it would stumble over later, before anything of it is written.

    Raises as `suite_of`, GateError for sentinels without power, and RegistryError for a line without a
    champion to start from or a ledger that the run cannot spend from.
    """
    from engine.registry import Registry

    suite_of(config)
    require_power(config.gate.sentinels)
    registry, gate = Registry(home), config.gate
    if config.start == "champion":
        registry.path(registry.champion(config.line))
    registry.check_ledger(
        config.line,
        alpha=gate.alpha,
        planned_tests=gate.planned_tests,
        run_id=run_id,
        fresh=config.budget == "new",
    )


def examine(machine: Machine, home: Path) -> list[Finding]:
    """The machine and what is installed on it. Imports none of the packages that it names."""
    findings = [
        Finding(
            section="machine", what="Python", found=f"{platform.python_version()} on {platform.platform()}"
        ),
        Finding(section="machine", what="cores", found=str(machine.num_cpus)),
        Finding(section="machine", what="free memory", found=_size(machine.memory)),
        Finding(section="machine", what="free disk", found=f"{_size(machine.disk)} for {home}"),
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

    A plan that fits what the config declares but not this machine is no error of the config: both are told.
    Raises as `suite_of`, PlanError where it fits neither, ModelError for an unusable base.
    """
    suite_of(config)
    findings = []
    try:
        plan = make_plan(config, machine, home)
        findings.append(Finding(section="plan", what="on this machine", found="fits"))
    except PlanError as error:
        plan = make_plan(config, as_declared(config, machine), home)
        findings.append(Finding(section="plan", what="on this machine", found=str(error), ok=False))
        findings.append(Finding(section="plan", what="as declared", found="fits"))
    return findings + _plan(config, plan) + _gate(config.gate) + _sentinels(config.gate.sentinels)


def print_table(findings: list[Finding]) -> None:
    """For people, as wide as their terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    section = ""
    for finding in findings:
        mark = Text("ok", style="green") if finding.ok else Text("!!", style="bold red")
        found = finding.found + (f"\n{finding.remedy}" if finding.remedy else "")
        head = Text("" if finding.section == section else finding.section, style="bold")
        table.add_row(head, finding.what, mark, Text(printable(found)))
        section = finding.section
    Console().print(table)


def _gpus() -> Finding:
    gpus = detect_gpus()
    found = ", ".join(f"{gpu.name} ({_size(gpu.memory)})" for gpu in gpus) or "none"
    if gpus and not cuda_installed():
        remedy = "the CPU set is installed: `make clean setup` installs the GPU set where nvidia-smi works"
        return Finding(section="machine", what="GPUs", found=f"{found}, not usable", ok=False, remedy=remedy)
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
    there = (home / "models" / "smollm2-135m-instruct" / "config.json").exists()
    return Finding(
        section="parts",
        what="embedded model",
        found="SmolLM2-135M-Instruct, converted" if there else f"not yet in {home}",
        ok=there,
        remedy="" if there else "the first run fetches it; now: python -m engine.models fetch",
    )


def _plan(config: Config, plan: Plan) -> list[Finding]:
    findings = [
        Finding(section="plan", what="samplers", found=_group(plan.samplers)),
        Finding(section="plan", what="train workers", found=_group(plan.train)),
    ]
    if plan.warm_start:
        findings.append(Finding(section="plan", what="warm start workers", found=_group(plan.warm_start)))
    turns = "samplers and trainer use the same " + ("cores" if plan.device == "cpu" else "GPUs") + " in turn"
    apart = "samplers and trainer each have their own GPUs"
    findings.append(Finding(section="plan", what="placement", found=turns if plan.take_turns else apart))
    for need in plan.needs:
        there = f" of {_size(need.available)}" if need.available is not None else ""
        findings.append(
            Finding(section="plan", what=f"{need.what}, at most", found=f"{_size(need.needed)}{there}")
        )
    if shape_of(config.base) is None:
        found = "unknown until the base is downloaded, or an architecture that is not known"
        findings.append(Finding(section="plan", what="memory", found=found))
    return findings


def _gate(gate: Gate) -> list[Finding]:
    from engine.gate import detectable_gain

    level = gate.alpha / gate.planned_tests
    gain = detectable_gain(
        level=level,
        looks=gate.looks,
        look_size=gate.look_size,
        win_share=gate.win_share,
        futility=gate.futility,
        spending=gate.spending,
        discordance_lost=_LOST,
    )
    design = f"level {level:.3g}, {gate.looks} looks of {gate.look_size}, {100 * _LOST:.0f} % lost"
    what = "gain shown with 80 % power"
    if gain is None:
        remedy = "more gate.looks, a larger gate.look_size or fewer gate.planned_tests"
        return [Finding(section="gate", what=what, found=f"none ({design})", ok=False, remedy=remedy)]
    return [Finding(section="gate", what=what, found=f"{100 * gain:.1f} points ({design})")]


def _sentinels(settings: Sentinels) -> list[Finding]:
    return [
        Finding(
            section="sentinels",
            what=f"{suite}: a harmless model passes",
            found=f"with a chance of {_percent(power)} ({design})",
            ok=power >= _ENOUGH,
            remedy="" if power >= _ENOUGH else f"a larger {key}: under {_percent(_ENOUGH)} a run is refused",
        )
        for suite, key, design, power in sentinel_powers(settings)
    ]


def _percent(share: float) -> str:
    """Whole percents; only certainty is written as 100."""
    return f"{math.floor(100 * share)} %" if share < 0.99 else "over 99 %"


def _group(group: Group) -> str:
    gpus = f", {group.gpus:g} GPU each" if group.gpus else ""
    return f"{group.num} with {group.threads} thread{'s' if group.threads > 1 else ''} each{gpus}"


def _size(number: int | None) -> str:
    return "unknown" if number is None else f"{number / GIB:.1f} GiB"
