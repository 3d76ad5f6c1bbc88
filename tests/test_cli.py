"""The command line from outside: order of commands, exit codes, one sentence for a mistake, JSON."""

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from ray.exceptions import ActorDiedError, OutOfDiskError, RayTaskError

import ratchet
from cluster import connect
from configs.asking import Asking
from configs.load import ConfigError, load
from configs.schema import Sampler
from configs.tasks import Task
from engine.disk.steps import Run
from engine.gate.arithmetic import GateError
from engine.gate.exams import EXAMS
from engine.measure import asking, readings, table
from engine.plan.machine import detect_machine
from engine.plan.precision import settle
from engine.records import Summary, Usage
from engine.registry.registry import Registry
from engine.sample.protocol import SamplerError
from engine.sample.starting import EngineError
from loops.training import Untrained
from tests.support.cli import QUICKSTART, ROOT, cli, cli_anew
from tests.support.runs import ended

LONG = "a" * 300
EXPERIMENT = "tests/support/tiny_experiment.yaml"
TEXTS = "configs/sweeps/error-driven.yaml"


def test_help_within_a_second(tmp_path: Path) -> None:
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "doctor" in cli_anew(tmp_path, "--help").stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Processor time, so that a busy machine does not fail the test.
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 1.0


def test_help_lists_every_command_in_its_order(tmp_path: Path) -> None:
    listed = re.findall(r"^│ (\w+)  ", cli(tmp_path, "--help", COLUMNS="200").stdout, re.M)
    assert listed == list(ratchet.COMMANDS)
    assert set(listed) == set(typer.main.get_group(ratchet.app).commands), "a command is missing in COMMANDS"


def test_help_waits_for_no_package_that_only_commands_need() -> None:
    code = "import sys, ratchet; print({'pydantic', 'yaml', 'jinja2', 'aiohttp'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "set()\n", done.stdout + done.stderr


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["run", "no-such-file.yaml"], 2)])
def test_what_native_libraries_do_at_the_end_costs_no_exit_code(arguments: list[str], code: int) -> None:
    """Threads of Ray have crashed a command that had ended, when the destructors of libraries ran."""
    program = (
        "import atexit, ctypes, os, sys, ratchet\n"
        "abort = ctypes.CFUNCTYPE(None)(os.abort)\n"
        "ctypes.CDLL(None).__cxa_atexit(abort, None, None)\n"
        "atexit.register(print, 'Ray was shut down')\n"
        "sys.modules['ray'] = sys\n"
        f"sys.argv = ['ratchet', *{arguments!r}]\n"
        "ratchet.process()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == code, done.stderr
    assert done.stdout.endswith("Ray was shut down\n")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["run", QUICKSTART, "loop.train.learning_rat=1"],
            ["unknown key loop.train.learning_rat", "loop.train.learning_rate?"],
        ),
        (["run", QUICKSTART, "stop.rounds=none"], ["stop.rounds must be"]),
        (["run", "configs/quikstart.yaml"], ["does not exist; did you mean configs/quickstart.yaml?"]),
        (["run", QUICKSTART, "base=/no/such/model"], ["/no/such/model", "does not exist"]),
        (["run", QUICKSTART, "base=configs"], ["configs", "config.json is missing"]),
        (["run", QUICKSTART, "resources.num_cpus=100000"], ["resources.num_cpus=100000", "cores"]),
        (["run", QUICKSTART, "sampler.kv_cache_gib=100000"], ["GiB of memory", "are free"]),
        (["run", "configs/cluster.yaml"], ["resources.num_gpus=16"]),
        (["run", QUICKSTART, "task.name=nonsense"], ["task.name must be 'prontoqa', ", "got 'nonsense'"]),
        (["run", QUICKSTART, "start=champion"], ["has no champion to start from; set start=base"]),
        (
            ["run", QUICKSTART, "gate.sentinels.margin=0.03"],
            ["gate.sentinels.margin is too small", "a chance of 49 %"],
        ),
        (["run", QUICKSTART, "task.slices={hops: [99]}"], ["task.slices.hops: got [99]"]),
        (["eval", "embedded", "--task", "nonsense"], ["task 'nonsense' is neither"]),
        (["eval", "embedded", "--task", "prontoqa", "--data", "README.md"], ["README.md: not JSON"]),
        (
            ["run", "tests/support/tiny.yaml", "warm_start.questions=2", "loop.train.micro_batch_size=1"],
            ["questions must be 1, got 2"],
        ),
        (
            ["run", "tests/support/tiny.yaml", "loop.questions=3", "loop.train.micro_batch_size=1"],
            ["toy asks one question a story"],
        ),
        (["eval", "embedded", "--task", "prontoqa", "--skip", "3"], ["--skip is for --data", "--skip 3"]),
        (
            ["eval", "embedded", "--task", "prontoqa", "--max-new-tokens", "1024"],
            ["--max-new-tokens must leave room for the problem in 1024 tokens, got 1024"],
        ),
        (
            ["eval", "embedded", "--task", "prontoqa", "--shots", "1000"],
            ["--shots must leave room for the problem in 1024 tokens, got 1000"],
        ),
        *(
            (
                ["eval", "embedded", "--task", "tests/support/passage_task.py", option, "3"],
                ["has passages, which no model answers", f"{option} has no effect"],
            )
            for option in ("--shots", "--system", "--max-new-tokens")
        ),
        (
            ["doctor", "tests/support/tiny.yaml", "task.name=tests/support/passage_task.py"],
            ["loop oak_dpo learns from verdicts, but task passages is examined by likelihood"],
        ),
        (["eval", "", "--task", "prontoqa"], ["the name of a model is empty, allowed is `embedded`"]),
        (["eval", "embedded", "--task", "prontoqa", "--data", "README.md", "--seed", "3"], ["got --seed 3"]),
        (["report", ""], ["the name of a run is empty"]),
        (["run", "\x1b[31mred\x1b[0m.yaml"], ["does not exist"]),
        (["resume", "nothing"], ["nothing"]),
        (["sweep"], ["a sweep takes either a config or --resume RUN, got neither"]),
        (["sweep", "configs/sweeps/quick.yaml", "--resume", "latest"], ["--resume RUN, got both"]),
        (["experiment"], ["an experiment takes either a config or --resume RUN, got neither"]),
        (["experiment", "configs/experiments/error-driven.yaml", "--resume", "latest"], ["got both"]),
        (
            ["experiment", EXPERIMENT, "control=gentel"],
            ["control must be one of the arms usual, gentle, none"],
        ),
        (
            ["experiment", EXPERIMENT, "set.start=champion", "set.loop.train.micro_batch_size=1"],
            ["line toy/experiment has no champion to start from; with set.start=base"],
        ),
        (
            ["sweep", TEXTS, "set.start=champion"],
            ["has no champion", "stop.rounds=1 line=text-variations/smollm2-135m` makes one"],
        ),
        (
            ["sweep", TEXTS, "set.gate.judge={url: 'http://127.0.0.1:1/v1', model: m}"],
            ["trials ask no judge"],
        ),
        (
            ["sweep", TEXTS, "space={loop: {choose: {choice: [random, placebo]}}}"],
            ["loop.choose=placebo needs answers, but task text has passages"],
        ),
        (["experiment", EXPERIMENT, "set.base=/no/such"], ["/no/such does not exist"]),
        (["experiment", EXPERIMENT, "set.task.name=no.py"], ["task 'no.py' is neither one of"]),
        (
            ["run", EXPERIMENT],
            ["describes an experiment, not a campaign", f"`ratchet experiment {EXPERIMENT}`"],
        ),
        (["report", "nothing"], ["no run nothing", "there is none yet"]),
        (["eval", "nothing", "--task", "prontoqa"], ["model nothing must be"]),
        (["verify", "/no/such/file.jsonl"], ["/no/such/file.jsonl"]),
        (["models", "rollback", "no/line"], ["no/line"]),
        (["doctor", "configs/nothing.yaml"], ["configs/nothing.yaml does not exist"]),
        (["plan", "configs/cluster.yaml"], ["resources.num_gpus=16", "may use 0 GPUs"]),
        (
            ["plan", "configs/one-gpu.yaml", "--gpus-per-node", "1", "--gpu-memory-gib", "24"],
            ["warm_start.train needs about", "but one has 24.0 GiB", "set warm_start.train."],
        ),
        (["plan", QUICKSTART, "--assume", "speed=3"], ["no assumption 'speed': allowed are"]),
        (["run", QUICKSTART, f"run_id={LONG}"], ["run_id must have at most 100 characters, got 'aaa"]),
        (["run", QUICKSTART, "run_id=latest"], ["run_id: 'latest' is the link to the newest run"]),
        (["run", QUICKSTART, f"base={LONG}"], ["the name is too long for a file: ", LONG]),
        (["report", LONG], ["the name is too long for a file: "]),
        (["run", QUICKSTART, 'base="a\\0b"'], ["text must not hold the character '\\x00'"]),
        *(
            (
                [command, "tests/support/tiny_sweep.yaml"],
                ["describes a sweep, not a campaign", "`ratchet sweep tests/support/tiny_sweep.yaml`"],
            )
            for command in ("run", "plan", "doctor", "submit")
        ),
    ],
)
def test_mistake_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, arguments: list[str], parts: list[str]
) -> None:
    home = tmp_path / "home"
    done = cli(home, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("ratchet: ") and done.stderr.count("\n") == 1, done.stderr
    assert "\x1b" not in done.stderr
    assert done.stdout == ""
    for part in parts:
        assert part in done.stderr
    assert not list(home.glob("runs/*")) and not list(home.glob("registry/lines/*"))


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--nodes", ["0", "10001", "1000000000"]),
        ("--gpus-per-node", ["129"]),
        ("--gpu-memory-gib", ["0.5", "inf", "nan"]),
        ("--cpus-per-node", ["10001"]),
        ("--memory-per-node-gib", ["inf", "nan"]),
        ("--gpu-hour-price", ["-1", "inf", "nan"]),
    ],
)
def test_clusters_that_nobody_has_are_refused(tmp_path: Path, option: str, values: list[str]) -> None:
    for value in values:
        done = cli(tmp_path, "plan", QUICKSTART, option, value)
        assert done.returncode == 2 and not done.stdout
        assert f"Invalid value for '{option}'" in done.stderr and "Traceback" not in done.stderr


def test_dry_plan_is_a_page_or_json_and_leaves_nothing(tmp_path: Path) -> None:
    asked = ("plan", "configs/cluster.yaml", "--nodes", "2", "--gpus-per-node", "8", "--gpu-hour-price", "2")
    done = cli(tmp_path / "home", *asked, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    for part in ("8 samplers", "optimizer", "tokens sampled", "costs", "train_mfu", "estimates"):
        assert part in done.stdout, part
    assert len(done.stdout.splitlines()) < 60
    dry = json.loads(cli(tmp_path / "home", *asked, "--json").stdout)
    assert dry["cost"][1] == pytest.approx(2 * dry["gpu_hours"][1]) and len(dry["places"]) == 24
    assert not (tmp_path / "home").exists()


def without_chat_template(model: Path) -> None:
    (model / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")


def with_half_a_header(model: Path) -> None:
    (model / "model.safetensors").write_bytes((1000).to_bytes(8, "little") + b"{")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(without_chat_template, "has no chat template"), (with_half_a_header, "is corrupt")],
)
def test_unusable_base_is_one_sentence(tmp_path: Path, damage: Callable[[Path], None], reason: str) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config", "tokenizer", "tokenizer_config"):
        (model / f"{name}.json").write_text("{}")
    damage(model)
    done = cli(tmp_path / "home", "run", QUICKSTART, f"base={model}")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert str(model) in done.stderr and reason in done.stderr
    assert not (tmp_path / "home").exists()


def test_broken_line_of_proofs_is_one_of_the_verdicts(tmp_path: Path) -> None:
    proof = {"premises": ["Max is a wumpus."], "question": "Max is a wumpus.", "proof": "Answer: True"}
    file = tmp_path / "proofs.jsonl"
    file.write_text(json.dumps(proof) + "\n{\n" + json.dumps(proof) + "\n")
    done = cli(tmp_path, "verify", str(file))
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (1, "")
    assert [verdict["status"] for verdict in verdicts] == ["PASS", "UNDECIDED", "PASS"]
    assert verdicts[1]["id"] == 2 and verdicts[1]["reason"].startswith("line 2: not valid JSON")


@pytest.mark.slow
def test_verify_prints_a_verdict_a_record(tmp_path: Path) -> None:
    premises = ["Max is a wumpus.", "Each wumpus is a tumpus."]
    record = {"premises": premises, "question": "Max is a tumpus.", "answer": "True"}
    good, bad = "Max is a tumpus. [2 1 mp] [3]\nAnswer: True", "Max is a tumpus. [1 2 mp] [3]\nAnswer: True"
    file = tmp_path / "proofs.jsonl"
    file.write_text("".join(json.dumps({**record, "proof": proof}) + "\n" for proof in (good, bad)))
    done = cli(tmp_path, "verify", str(file))
    assert done.returncode == 1, done.stderr
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [verdict["status"] for verdict in verdicts] == ["PASS", "FAIL"]
    assert verdicts[0]["lines"][0]["valid"] and verdicts[1]["lines"][0]["reason"]
    file.write_text("\ufeff" + json.dumps({**record, "proof": good}))
    assert cli(tmp_path, "verify", str(file)).returncode == 0
    file.write_text("\n")
    done = cli(tmp_path, "verify", str(file))
    assert done.returncode == 2 and "got none" in done.stderr


@pytest.mark.parametrize("command", [["show", "a/b"], ["prune", "a/b"], ["show", "nothing"]])
def test_unknown_lines_are_named(tmp_path: Path, command: list[str]) -> None:
    done = cli(tmp_path, "models", *command)
    assert done.returncode == 2 and f"no line {command[1]} in the registry" in done.stderr


@pytest.mark.slow
def test_doctor_shows_machine_plan_and_power(tmp_path: Path) -> None:
    done = cli(tmp_path, "doctor", "configs/cluster.yaml", "--json")
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)
    sections = {finding["section"] for finding in findings}
    assert {"machine", "packages", "parts", "plan", "gate", "learnt tokens"} <= sections
    named = {finding["what"]: finding for finding in findings}
    assert (
        not named["embedded model"]["ok"] and "engine.models.base fetch" in named["embedded model"]["remedy"]
    )
    assert named["torch"]["ok"] and named["ray"]["found"] == "2.60.0"
    assert "resources.num_gpus=16" in named["on this machine"]["found"]
    assert "points" in named["gain shown with 80 % power"]["found"]
    for suite in ("english", "instructions"):
        assert "with a chance of" in named[f"{suite}: a harmless model passes"]["found"]
    assert not named["`ratchet run`"]["ok"] and "resources.num_gpus=16" in named["`ratchet run`"]["found"]
    small = json.loads(cli(tmp_path, "doctor", QUICKSTART, "gate.sentinels.margin=0.03", "--json").stdout)
    assert [
        finding["remedy"] for finding in small if "instructions" in finding["what"] and not finding["ok"]
    ] == ["a larger gate.sentinels.margin: under 80 % a run is refused"]
    done = cli(tmp_path, "doctor", QUICKSTART)
    assert done.returncode == 0, "what is not there yet, and what only tests need, refuses no run"
    for line in done.stdout.splitlines():
        assert len(line) <= 80, "a table wider than the terminal"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["gate.sentinels.margin=0.03"], "gate.sentinels.margin is too small for the sentinel suite"),
        (
            ["start=champion"],
            "line prontoqa-quickstart/smollm2-135m has no champion to start from; set start=base",
        ),
        (["task.slices={hops: [99]}"], "task.slices.hops: got [99]"),
    ],
)
def test_doctor_says_what_a_run_says_and_its_exit_code_does(
    tmp_path: Path, overrides: list[str], sentence: str
) -> None:
    refused = cli(tmp_path, "run", QUICKSTART, *overrides)
    assert refused.returncode == 2 and sentence in refused.stderr
    done = cli(tmp_path, "doctor", QUICKSTART, *overrides, "--json")
    assert done.returncode == 1 and not done.stderr, done.stderr
    last = json.loads(done.stdout)[-1]
    said = refused.stderr.removeprefix("ratchet: ").strip()
    assert (last["section"], last["ok"], last["found"]) == ("run", False, f"would be refused: {said}")
    assert not list(tmp_path.glob("runs/*"))


def test_eval_asks_as_its_options_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def evaluate(
        home: Path, asking: Asking, models: Any, plans: Any, asked: Any, exam: object, files: Any
    ) -> None:
        seen.update(asking=asking, models=models, plans=plans, asked=asked, exam=exam, files=files)

    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    monkeypatch.setattr(readings, "evaluate_models", evaluate)
    monkeypatch.setattr(table, "print_reading", lambda *_: None)
    monkeypatch.setattr(asking, "plan_sampling", lambda sampler, *_: sampler)
    monkeypatch.setattr(connect, "connect", lambda needs: seen.update(needs=needs))
    options = ["-n", "3", "--shots", "2", "--system", "Think.", "--max-new-tokens", "7"]
    options += ["--out", str(tmp_path / "answers.jsonl")]
    monkeypatch.setattr(sys, "argv", ["ratchet", "eval", str(tmp_path), "--task", "prontoqa", *options])
    with pytest.raises(SystemExit) as ended:
        ratchet.main()
    sampler = settle(Sampler(max_new_tokens=7), detect_machine(tmp_path))
    assert not ended.value.code
    assert seen["asking"] == Asking(task=Task(name="prontoqa"), shots=2, system="Think.", sampler=sampler)
    assert seen["models"] == {str(tmp_path): tmp_path} and seen["plans"] == {str(tmp_path): sampler}
    assert (len(seen["asked"].problems), seen["exam"], seen["needs"]) == (3, EXAMS["verdicts"], sampler)
    assert seen["files"] == {str(tmp_path): tmp_path / "answers.jsonl"}


def test_models_of_an_empty_registry(tmp_path: Path) -> None:
    assert "empty" in cli(tmp_path, "models").stdout
    assert json.loads(cli(tmp_path, "models", "--json").stdout) == {"lines": [], "models": []}
    assert json.loads(cli(tmp_path, "models", "list", "--json").stdout) == {"lines": [], "models": []}
    assert cli(tmp_path, "models", "prune").stdout == "freed 0 models, 0 MiB\n"


def test_inside_a_job_home_must_outlive_the_working_directory(tmp_path: Path) -> None:
    unset = cli(None, "run", QUICKSTART, RAY_ADDRESS="192.0.2.1:6379")
    assert unset.returncode == 2 and "RATCHET_HOME must be set" in unset.stderr
    inside = cli(ROOT / "inner", "run", QUICKSTART, RAY_ADDRESS="192.0.2.1:6379")
    assert inside.returncode == 2 and "must lie outside the working directory" in inside.stderr
    assert not (ROOT / "inner").exists()


def test_submission_id_names_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect.submission_id() is None
    monkeypatch.setenv(
        "RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"metadata": {"job_submission_id": "nightly-7"}})
    )
    assert connect.submission_id() == "nightly-7"
    for unusable in ("latest", "../nightly", LONG):
        monkeypatch.setenv(
            "RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"metadata": {"job_submission_id": unusable}})
        )
        with pytest.raises(ConfigError, match="^the job's submission id: run_id"):
            connect.submission_id()


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Path]]:
    """Runs `ratchet run` in this process, without Ray and with a stand-in for the campaign."""

    def call(body: Callable[[Run], object], *arguments: str) -> tuple[int, Path]:
        stand_in = ModuleType("loops.campaign")
        stand_in.run_campaign = lambda run, plan: body(run) or ended(run.id)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "loops.campaign", stand_in)
        monkeypatch.setattr(connect, "connect", lambda plan: None)
        monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["ratchet", *(arguments or ("run", QUICKSTART, "run_id=one"))])
        monkeypatch.chdir(ROOT)
        with pytest.raises(SystemExit) as caught:
            ratchet.main()
        return int(caught.value.code or 0), tmp_path / "runs" / "one"

    return call


def test_run_makes_its_directory_and_shows_the_summary(campaign, capsys) -> None:
    code, run_dir = campaign(lambda run: None)
    assert code == 0
    recorded = load(run_dir / "config.yaml")
    assert recorded.name == "quickstart" and recorded.sampler.dtype in ("bfloat16", "float32")
    assert (run_dir.parent / "latest").resolve() == run_dir
    shown = capsys.readouterr()
    assert "champion             abc" in shown.out
    assert "file:///" in shown.err and "report.html" in shown.err
    assert "`ratchet serve configs/serve.yaml line=a/b` serves the champion" in shown.err


def test_programs_get_one_line_of_json_and_people_are_told_what_was_refused(campaign, capsys) -> None:
    assert campaign(lambda run: None, "run", QUICKSTART, "run_id=one", "--json")[0] == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["champion"] == "abc" and shown.err == ""
    assert campaign(lambda run: ended(accepted=0), "run", QUICKSTART, "run_id=two")[0] == 0
    shown = capsys.readouterr()
    assert "the report shows which check refused each" in shown.err and "ratchet serve" not in shown.err
    carried = replace(ended(accepted=0), carried=1, refused=0, working="def")
    assert campaign(lambda run: carried, "run", QUICKSTART, "run_id=three")[0] == 0
    shown = capsys.readouterr()
    assert "start=champion goes on from it" in shown.err and "No round was accepted" not in shown.err


def test_what_a_run_took_is_shown_in_words_and_given_to_programs(campaign, capsys) -> None:
    used = Usage(
        num_cpus=2,
        num_gpus=0,
        driver_mib=812,
        worker_mib=1204,
        cpu_joules=None,
        gpu_joules=None,
        cost=0.0512,
        currency="EUR",
    )
    took = replace(ended(), usage=used)
    assert campaign(lambda run: took)[0] == 0
    shown = capsys.readouterr().out
    for line in (
        "driver memory        812 MiB",
        "processor energy     not measured",
        "cost                 0.05 EUR",
    ):
        assert line in shown.splitlines(), shown
    assert "usage" not in shown and "took                 1 s" in shown.splitlines()
    assert campaign(lambda run: took, "run", QUICKSTART, "run_id=two", "--json")[0] == 0
    assert json.loads(capsys.readouterr().out)["usage"]["cpu_joules"] is None


def test_changed_config_is_refused(campaign, capsys) -> None:
    campaign(lambda run: None)
    code, _ = campaign(
        lambda run: pytest.fail("the campaign was started"), "run", QUICKSTART, "run_id=one", "seed=5"
    )
    assert code == 2
    assert "run one exists with another config" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("resume", "one"), ("resume",), ("run", QUICKSTART, "run_id=one")])
def test_resume_continues_with_the_saved_config(campaign, arguments: tuple[str, ...]) -> None:
    campaign(lambda run: None)
    names = []
    code, _ = campaign(lambda run: names.append(run.id), *arguments)
    assert (code, names) == (0, ["one"])


def test_a_finished_run_is_shown_on_a_machine_on_which_it_would_not_fit(
    campaign, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign(lambda run: run.step("summary", Summary, ended))
    capsys.readouterr()
    monkeypatch.setattr(ratchet, "_planned", lambda *_: pytest.fail("it was planned"))
    code, _ = campaign(lambda run: None, "resume", "one")
    assert code == 0 and "strict               0.25 at first, 0.5 now" in capsys.readouterr().out


def test_a_finished_run_is_shown_again_and_not_run(campaign, capsys) -> None:
    campaign(lambda run: run.step("summary", Summary, ended))
    capsys.readouterr()
    for arguments in (("resume", "one"), ("run", QUICKSTART, "run_id=one")):
        code, run_dir = campaign(lambda run: pytest.fail("the campaign was started"), *arguments)
        assert code == 0 and "strict               0.25 at first, 0.5 now" in capsys.readouterr().out
    assert (run_dir / "report.html").exists()
    (run_dir / "summary.json").write_text("{}")
    code, _ = campaign(lambda run: pytest.fail("the campaign was started"), "resume", "one")
    assert code == 2 and "summary.json was changed after it was committed" in capsys.readouterr().err


def test_used_up_ledger_passes_through(campaign, capsys) -> None:
    def spend(run: Run) -> None:
        registry = Registry(run.path.parent.parent)
        for run_id in ("first", "second"):
            registry.open_ledger("a/b", alpha=0.05, planned_tests=1, run_id=run_id, fresh=False)
            registry.commit_test("a/b", run_id=run_id, round=1, challenger_id="c" * 16, entropy=1)

    assert campaign(spend)[0] == 2
    error = capsys.readouterr().err
    assert "used up" in error and "budget=new" in error and "Traceback" not in error


@pytest.mark.parametrize(("budget", "code"), [("continue", 2), ("new", 0)])
def test_used_up_ledger_is_refused_before_there_is_a_run(
    campaign, tmp_path: Path, capsys, budget: str, code: int
) -> None:
    registry = Registry(tmp_path)
    registry.open_ledger("a/b", alpha=0.05, planned_tests=1, run_id="first", fresh=False)
    registry.commit_test("a/b", run_id="first", round=1, challenger_id="c" * 16, entropy=1)
    ledger = registry.line("a/b")
    settings = ("line=a/b", f"budget={budget}", "gate.planned_tests=1", "run_id=one")
    ended, run_dir = campaign(lambda run: None, "run", QUICKSTART, *settings)
    assert (ended, run_dir.exists()) == (code, code == 0)
    assert ("used up" in capsys.readouterr().err) == (code == 2)
    assert registry.line("a/b") == ledger


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_says_how_to_continue(campaign, capsys, number: int, default_sigint: None) -> None:
    assert campaign(lambda run: os.kill(os.getpid(), number))[0] == 130
    assert "`ratchet resume one` continues" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("full", "place"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "stage.json"), "stage.json"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "stage.json"), "stage.json"),
        (OutOfDiskError("the object store is full"), "a file could not be written"),
    ],
)
def test_full_disk_says_how_to_continue(campaign, capsys, full: Exception, place: str) -> None:
    def fill(run: Run) -> None:
        raise full

    assert campaign(fill)[0] == 2
    error = capsys.readouterr().err
    assert f"the disk is full: {place}; free" in error and "`ratchet resume one` continues" in error


@pytest.mark.parametrize(
    "error",
    [SamplerError("a sampler was lost"), RayTaskError("sample", "…", SamplerError("a sampler was lost"))],
)
def test_lost_work_is_a_sentence(campaign, capsys, error: Exception) -> None:
    def fail(run: Run) -> None:
        raise error

    assert campaign(fail)[0] == 2
    assert capsys.readouterr().err == "ratchet: a sampler was lost\n"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            Untrained("the warm start could not be trained: the loss is 99"),
            "the warm start could not be trained: the loss is 99",
        ),
        (RayTaskError("swap", "…", EngineError("vLLM does not start")), "vLLM does not start"),
        (
            ActorDiedError(),
            "a process or a node is gone: ActorDiedError: The actor died unexpectedly before finishing this "
            "task; `ratchet resume one` continues",
        ),
    ],
)
def test_a_failure_that_nothing_is_tried_for_again_is_a_sentence(
    campaign, capsys, error: Exception, sentence: str
) -> None:
    def fail(run: Run) -> None:
        raise error

    assert campaign(fail)[0] == 2
    assert capsys.readouterr().err == f"ratchet: {sentence}\n"


def wrapped_by_ray(error: Exception) -> Exception:
    return RayTaskError("ask", "Traceback of the worker", error).as_instanceof_cause()


@pytest.mark.parametrize("raised", [lambda error: error, wrapped_by_ray])
def test_a_failed_integrity_check_is_no_sentence(
    campaign, capsys, raised: Callable[[Exception], Exception]
) -> None:
    """It has a traceback and a code of its own, and nobody can take it for a typo."""

    def fail(run: Run) -> None:
        raise raised(GateError("problem p was answered by \x1b[2J, on trial is m"))

    assert campaign(fail)[0] == 70
    error = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error and "in fail" in error
    assert "GateError" in error and "was answered by \\x1b[2J, on trial is m" in error
    last = error.splitlines()[-1]
    assert last.startswith("ratchet: an integrity check failed; this is not a mistake of yours")


@pytest.mark.parametrize("bug", [KeyError("a bug"), ValueError("a bug"), RuntimeError("a bug")])
def test_bug_keeps_its_traceback(campaign, bug: Exception) -> None:
    def fail(run: Run) -> None:
        raise bug

    with pytest.raises(type(bug)):
        campaign(fail)


def test_a_home_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli(tmp_path / "file", "models", "prune")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"RATCHET_HOME must be a directory, got {tmp_path / 'file'}" in done.stderr
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "rows").write_text('{"id": 1, "pass": true}\n')
    rows = str(tmp_path / "rows")
    for home in (tmp_path / "link", Path("/proc/nope")):
        done = cli(home, "compare", rows, rows, "--ledger", "x", "--tests", "1")
        assert done.returncode == 2 and f"RATCHET_HOME {home} cannot be used" in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "a: 1", "[1]", "a: [", "a: b: c", "name: a\nline: a/b\ngate: {}\n"])
def test_a_report_of_a_damaged_run_is_a_sentence(tmp_path: Path, content: str) -> None:
    run = tmp_path / "runs" / "d"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(content)
    done = cli(tmp_path, "report", "d")
    assert done.returncode == 2 and done.stderr.startswith("ratchet: ") and done.stderr.count("\n") == 1
    assert "config.yaml" in done.stderr
