"""A task file becomes a `Task` with every default filled in; a missing or mistyped part is named."""

import re
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from configs.loops import OakDpo, OwnLoop
from configs.schema import Config, WarmStart
from configs.tasks import Task
from engine.plugins import PluginError
from engine.records import Fault, ProofSteps, Status, StepVerdict, Verdict
from engine.tasks import TASKS, load_task, problem_id, proofs, suite_of
from engine.tasks.suite import PASSED, DataError, Ratio, Share
from engine.verify import AND, faults_of, load_verifier
from tests.support.proof_helpers import attempt
from tests.support.suites import suite

README = Path(__file__).parents[3] / "engine" / "tasks" / "README.md"
SMALL = {
    "NAME": "'small'",
    "VERIFIERS": "('rules',)",
    "DIMENSIONS": "{'size': (1, 2), 'kind': ['a', 'b']}",
    "DEFAULT_SLICES": "{'size': [1]}",
}
MAKE = """
from engine.records import Problem, Reference
from engine.tasks import problem_id
from engine.tasks.suite import Ratio, Share

def make(settings, rng, *, split, slice_name, origin):
    question = f"{settings['size']}: {rng.random()}"
    return Problem(id=problem_id("small", question), task="small", slice=slice_name, turns=(question,),
                   truth=Reference(accepted=()), gold=(), split=split, origin=origin)
"""


def task_file(folder: Path, *, code: str = MAKE, **parts: str) -> str:
    file = folder / "mine.py"
    names = {**SMALL, **parts}
    file.write_text(code + "".join(f"{name} = {value}\n" for name, value in names.items() if value))
    return str(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("NAME = 'x'\n", "lacks VERIFIERS, DIMENSIONS, DEFAULT_SLICES, make; a task offers NAME, VERIFIERS,"),
        ("def open(settings): ...\n", "lacks NAME, VERIFIERS; a task offers NAME, VERIFIERS$"),
        ("def make(:\n", "cannot be loaded: SyntaxError"),
        ("import no_such_module_at_all\n", "cannot be loaded: ModuleNotFoundError"),
        ("NAME = 'x'\nVERIFIERS = rules\n", r"cannot be loaded: NameError: .* \(line 2\)$"),
        (
            "def half(n):\n    return 1 / n\n\n\nhalf(0)\n",
            r".* ZeroDivisionError: division by zero \(line 2\)$",
        ),
        ("NAME = {}['name']\n", r"cannot be loaded: KeyError: 'name' \(line 1\)$"),
        ("raise ValueError('two\\nlines')\n", r"cannot be loaded: ValueError: two lines \(line 1\)$"),
        ("raise RuntimeError\n", r"cannot be loaded: RuntimeError \(line 1\)$"),
        ("import sys\nsys.exit(3)\n", r"cannot be loaded: SystemExit: 3 \(line 2\)$"),
        ("NAME = 'é'\n".encode("latin-1"), "cannot be loaded: SyntaxError"),
    ],
)
def test_a_broken_task_file_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = tmp_path / "mine.py"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=f"task file {file} {message}"):
        load_task(str(file))


@pytest.mark.parametrize("name", ["prontoq", "no/such/file.py", "README.rst"])
def test_an_unknown_task_is_named(name: str) -> None:
    with pytest.raises(DataError, match=f"task '{name}' is neither one of {', '.join(TASKS)} nor the path"):
        load_task(name)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("NAME", "3", "NAME must be text, got 3"),
        ("NAME", "''", "NAME must be text, got ''"),
        ("SYSTEM", "None", "SYSTEM must be text, got None"),
        ("EXAM", "''", "EXAM must be text, got ''"),
        ("VERIFIERS", "'rules'", r"VERIFIERS must be a tuple of names, such as \(\"rules\",\), got 'rules'"),
        ("VERIFIERS", "('rules', 3)", "VERIFIERS must be a tuple of names, .* got .'rules', 3."),
        ("VERIFIERS", "()", r"VERIFIERS must be a tuple of names, .* got \(\)"),
        ("DIMENSIONS", "{'size': 3}", "DIMENSIONS must be a dictionary from each dimension to a list"),
        ("DIMENSIONS", "{'size': 'abc'}", "DIMENSIONS must be a dictionary"),
        ("DIMENSIONS", "{'size': [[1]]}", "DIMENSIONS must be a dictionary"),
        ("DIMENSIONS", "['size']", r"DIMENSIONS must be a dictionary .* got \['size'\]"),
        ("DEFAULT_SLICES", "{1: [1]}", "DEFAULT_SLICES must be a dictionary"),
        (
            "DEFAULT_SLICES",
            "{}",
            "mine.py: DEFAULT_SLICES must be a dictionary with at least one dimension, got {}",
        ),
        ("DEFAULT_SLICES", "{'width': [1]}", "'width' is no dimension of small; it has size, kind"),
        ("make", "3", "make must be a function, got 3"),
        ("make", "None", "make must be a function, got None"),
        ("target", "'gold'", "target must be a function, got 'gold'"),
        ("read", "3", "read must be a function, got 3"),
        ("more", "3", "more must be a function, got 3"),
        ("open", "3", "open must be a function, got 3"),
        ("FIGURES", "'strict'", "FIGURES must be a tuple of Share and Ratio, got 'strict'"),
        ("FIGURES", "('strict',)", r"FIGURES must be a tuple of Share and Ratio, got \('strict',\)"),
        ("FIGURES", "()", r"FIGURES must be figures with a Share of all problems among them, got \[\]"),
        (
            "FIGURES",
            "(Ratio(key='r', title='', parts=None),)",
            "figures with a Share of all problems among them, got .'r'.",
        ),
        (
            "FIGURES",
            "(Share(key='s', title='', holds=None, among=lambda problem: True),)",
            "figures with a Share of all problems among them, got .'s'.",
        ),
        (
            "FIGURES",
            "(Share(key='s', title='', holds=None),) * 2",
            "FIGURES must be figures of different keys, got .'s', 's'.",
        ),
        (
            "HEADLINE",
            "'best'",
            r"HEADLINE must be the key of a Share of all problems in FIGURES \(passed\), got 'best'",
        ),
        (
            "HEADLINE",
            "['passed']",
            r"HEADLINE must be the key of a Share of all problems in FIGURES \(passed\), got \['passed",
        ),
    ],
)
def test_a_part_of_the_wrong_type_is_named_in_one_sentence(
    tmp_path: Path, part: str, value: str, message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        suite(task_file(tmp_path, **{part: value}))
    assert "\n" not in str(error.value)
    assert part == "DEFAULT_SLICES" or str(error.value).startswith(f"task file {tmp_path}/mine.py: {part}")


def test_a_small_file_gets_every_default(tmp_path: Path) -> None:
    task = load_task(task_file(tmp_path))
    assert (task.name, task.system, task.exam, task.verifiers) == ("small", "", "verdicts", ("rules",))
    assert (task.figures, task.headline) == ((PASSED,), "passed")
    drawn = task.open(Task(slices={"kind": ["b", "a"]}))
    assert drawn.task is task and list(drawn.slices) == ["size=1 kind=b", "size=1 kind=a"]
    (problem,) = drawn.draw(1, split="gate", seed=0)
    assert task.target(problem, attempt("as it is")) == ("as it is",)
    with pytest.raises(DataError, match="public.json: task small reads no public file"):
        task.read(Path("public.json"))


def test_every_part_of_a_file_is_in_its_task(tmp_path: Path) -> None:
    parts = {
        "SYSTEM": "'Think.'",
        "EXAM": "'likelihood'",
        "VERIFIERS": "[]",
        "FIGURES": "[Ratio(key='r', title='R', parts=None), Share(key='a', title='A', holds=None), "
        "Share(key='b', title='B', holds=None)]",
        "HEADLINE": "'b'",
        "target": "lambda problem, attempt: ('learn this',)",
        "read": "lambda path: [path]",
    }
    task = load_task(task_file(tmp_path, **parts))
    assert (task.system, task.exam, task.verifiers, task.headline) == ("Think.", "likelihood", (), "b")
    assert [figure.key for figure in task.figures] == ["r", "a", "b"]
    assert task.read(Path("x")) == [Path("x")]
    (problem,) = task.open(Task()).draw(1, split="gate", seed=0)
    assert task.target(problem, attempt("as it is")) == ("learn this",)
    assert load_task(task_file(tmp_path, **{**parts, "HEADLINE": ""})).headline == "a"


ANSWER = "    return Problem("


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (ANSWER, "    1 / 0\n" + ANSWER, r"make fails for slice 'size=1': ZeroDivisionError: .* \(line 8\)$"),
        (ANSWER, "    return str(", "make .* TypeError: "),
        (ANSWER, "    return None\n" + ANSWER, "make must return engine.records.Problem, got None$"),
        ("turns=(question,)", "turns=question", "turns of a problem must be a tuple of texts, got '1: 0"),
        ("turns=(question,)", "turns=(3,)", r"turns of a problem must be a tuple of texts, got \(3,\)$"),
        ("gold=()", "gold=None", "gold of a problem must be a tuple of texts, got None$"),
    ],
)
def test_a_problem_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in MAKE
    drawn = suite(task_file(tmp_path, code=MAKE.replace(old, new, 1)))
    with pytest.raises(DataError, match=f"task file {tmp_path}/mine.py: {message}") as error:
        drawn.draw(1, split="gate", seed=0)
    assert "\n" not in str(error.value)


def test_more_problems_of_a_story_are_checked_as_well(tmp_path: Path) -> None:
    for more, message in (
        ("[3]", "more must return engine.records.Problem, got 3"),
        ("1 / 0", "more fails for slice 'size=1': ZeroDivisionError: division by zero"),
    ):
        drawn = suite(task_file(tmp_path, more=f"lambda problem, num, rng: {more}"))
        with pytest.raises(DataError, match=f"mine.py: {message}"):
            drawn.draw(2, split="gate", seed=0, questions=2)


def test_more_problems_than_were_asked_for_are_left(tmp_path: Path) -> None:
    further = "[make({'size': 2}, rng, split='', slice_name='', origin='') for _ in range(num + 1)]"
    drawn = suite(task_file(tmp_path, more=f"lambda problem, num, rng: {further}"))
    assert len(drawn.draw(3, split="gate", seed=0, questions=3)) == 3


def test_errors_in_functions_of_a_users_file_are_sentences(tmp_path: Path) -> None:
    wrong = "lambda *given: {}['no']"
    figures = f"[Share(key='s', title='S', holds={wrong}), Ratio(key='r', title='R', parts={wrong})]"
    task = load_task(task_file(tmp_path, read=wrong, target=wrong, FIGURES=figures))
    share, ratio = task.figures
    assert isinstance(share, Share) and isinstance(ratio, Ratio)
    calls: list[tuple[str, Callable[..., object], int]] = [
        ("read", task.read, 1),
        ("target", task.target, 2),
        ("holds of 's'", share.holds, 1),
        ("parts of 'r'", ratio.parts, 1),
    ]
    for part, call, num in calls:
        message = rf"^{part} of task file .* fails: KeyError: 'no' \(line \d+\)$"
        with pytest.raises(PluginError, match=message):
            call(*[None] * num)


def test_a_bug_of_a_built_in_task_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object, **named: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("engine.tasks.prontoqa.make", broken)
    with pytest.raises(KeyError, match="a bug"):
        suite("prontoqa").draw(1, split="gate", seed=0)


OWN_SUITE = """
class Fixed:
    slices = ["all"]
    def __init__(self, settings): self.settings = settings
    def draw(self, num, **options): return [self.settings.slices] * num
def open(settings): return Fixed(settings)
"""


def test_a_suite_of_its_own_needs_no_generator(tmp_path: Path) -> None:
    none = {"DIMENSIONS": "", "DEFAULT_SLICES": ""}
    task = load_task(task_file(tmp_path, code=OWN_SUITE, **none))
    drawn = task.open(Task(slices={"size": [1]}))
    assert drawn.task is task and drawn.slices == ["all"]
    assert drawn.draw(2, split="gate", seed=0) == [{"size": [1]}] * 2  # type: ignore[comparison-overlap]
    broken = load_task(task_file(tmp_path, code="def open(settings): return 3\n", **none))
    with pytest.raises(DataError, match="open must be a function that returns a suite with .* got 3"):
        broken.open(Task())
    broken = load_task(task_file(tmp_path, code="def open(settings): raise OSError('no data')\n", **none))
    with pytest.raises(PluginError, match=r"open of task file .* fails: OSError: no data \(line \d+\)"):
        broken.open(Task())


def test_prontoqa_measures_what_proofs_are_measured_by() -> None:
    task = load_task("prontoqa")
    assert (task.system, task.verifiers, task.headline) == ("Prove or refute.", ("rules", "z3"), "strict")
    assert [figure.key for figure in task.figures] == [
        "accuracy",
        "strict",
        "step_validity",
        "step_validity_with_answer",
    ]
    assert all(figure.title and figure.note.endswith(".") for figure in task.figures)


def verdict(status: Status, right: bool, num_valid: int, num_steps: int) -> Verdict:
    step = StepVerdict(number=1, text="", valid=False, reason="")
    return Verdict(
        problem_id="p",
        sample=0,
        status=status,
        right=right,
        answer="",
        fault=Fault.NONE,
        verifier="",
        reason="",
        proof=ProofSteps(valid=False, steps=(step,) * num_steps, num_valid=num_valid, fault_step=0),
    )


def test_the_figures_of_proofs_count_answers_proofs_and_lines() -> None:
    verdicts = [
        verdict(Status.PASS, True, 3, 3),
        verdict(Status.FAIL, True, 1, 4),
        verdict(Status.FAIL, False, 0, 0),
        replace(verdict(Status.UNDECIDED, False, 0, 0), proof=None),
    ]
    found: dict[str, object] = {}
    for figure in proofs.FIGURES:
        if isinstance(figure, Share):
            found[figure.key] = [figure.holds(each) for each in verdicts]
        else:
            assert isinstance(figure, Ratio)
            found[figure.key] = tuple(map(sum, zip(*map(figure.parts, verdicts), strict=True)))
    assert found == {
        "accuracy": [True, True, False, False],
        "strict": [True, False, False, False],
        "step_validity": (4, 7),
        "step_validity_with_answer": (6, 11),
    }


def test_tasks_with_unknown_answers_show_them_apart() -> None:
    for name in ("proofwriter", "formal", "folio", "mixture"):
        task = load_task(name)
        keys = [figure.key for figure in task.figures]
        assert keys[:4] == ["accuracy", "strict", "strict_decided", "strict_unknown"], name
        assert task.headline == "strict" and task.verifiers == ("rules", "z3")
        assert all(figure.title and figure.note.endswith(".") for figure in task.figures)


def campaign(task: Task, *, warm: int = 1, loop: int = 1, own: bool = False) -> Config:
    return Config(
        name="mine",
        line="mine/tiny",
        task=task,
        warm_start=WarmStart(questions=warm) if warm else None,
        loop=OwnLoop(name="mine.py", questions=loop) if own else OakDpo(questions=loop),
    )


def test_a_campaign_opens_its_task_and_asks_no_more_questions_a_story_than_it_can() -> None:
    toy = Task(name="tests/support/toy_task.py", slices={"topic": ["cats"]})
    assert suite_of(campaign(toy)).slices == ["topic=cats"]
    for wanted in ({"warm": 3}, {"loop": 3}, {"warm": 0, "loop": 3}, {"loop": 3, "own": True}):
        with pytest.raises(DataError, match="task toy asks one question a story: questions must be 1, got 3"):
            suite_of(campaign(toy, **wanted))  # type: ignore[arg-type]
    assert suite_of(campaign(Task(), warm=3, loop=2)).task.name == "prontoqa"


def test_an_id_is_that_of_the_task_and_all_that_is_asked() -> None:
    assert problem_id("sums", "1 + 1?") == problem_id("sums", "1 + 1?")
    assert (
        len({problem_id("sums", "a", "b"), problem_id("sums", "b", "a"), problem_id("other", "a", "b")}) == 3
    )


def section(title: str) -> str:
    """What the page says under a heading."""
    return README.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section("A task of your own"), re.DOTALL)


def test_the_task_of_the_readme_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw, gold and corrupted gold: the page's own check, on the page's own file."""
    own_task, check = blocks("python")
    assert len(own_task.splitlines()) <= 25
    lenient = own_task.replace("if answer == wanted", "if answer")
    assert lenient != own_task
    (tmp_path / "check.py").write_text(check)
    for folder, text in (("good", own_task), ("lenient", lenient)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sums.py").write_text(text)
    monkeypatch.chdir(tmp_path / "good")
    checked = runpy.run_path(str(tmp_path / "check.py"))
    assert {problem.slice for problem in checked["suite"].draw(40, split="gate", seed=1)} == {
        "digits=2",
        "digits=3",
    }
    monkeypatch.chdir(tmp_path / "lenient")  # a verifier that passes anything fails the page's check
    with pytest.raises(AssertionError):
        runpy.run_path(str(tmp_path / "check.py"))


def test_the_faults_of_the_readme_are_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sums.py").write_text(blocks("python")[0])
    monkeypatch.chdir(tmp_path)
    drawn = suite("sums.py")
    name = AND.join(drawn.task.verifiers)
    (problem,) = drawn.draw(1, split="gate", seed=0)
    verify = load_verifier(name)
    assert verify(problem, attempt("no idea")).fault in faults_of(name)
    assert verify(problem, attempt("1")).fault == Fault.WRONG_ANSWER


def test_the_campaign_of_the_readme_is_a_config() -> None:
    campaign_text, *_ = blocks("yaml")
    config = Config.model_validate(yaml.safe_load(campaign_text))
    assert config.task == Task(name="sums.py", slices={"digits": [2]})


def test_the_readme_names_every_part_of_the_contract() -> None:
    contract = (README.parent / "contract.py").read_text()
    parts = set(re.findall(r'"([A-Z_]{4,}|make|more|target|read|open|vary|pose)"', contract))
    table = set(re.findall(r"^\| `([A-Za-z_]+)", section("The contract"), re.MULTILINE))
    assert parts == table and len(parts) == 16
    proofs_too = ["prontoqa", "proofwriter", "formal", "folio", "mixture"]
    assert list(TASKS) == [*proofs_too, "records", "text", "gym", "people", "domain"]
    table = re.findall(r"^\| `([a-z]+)`", section("Proofs").partition("### ")[0], re.MULTILINE)
    assert table == proofs_too
