"""`ratchet prove` from outside: what it prints, its exit code, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.errors import Mistake
from engine.plan.machine import Machine, detect_machine
from engine.prove import commands
from engine.sample.group import SamplerGroup
from tests.support.proof_helpers import CHAIN, PROOF
from tests.support.questions import Says

pytestmark = pytest.mark.slow

ASKED = "\n".join([*CHAIN, "Question: Max is sour."])
FIRST_ORDER = "all x (P(x) -> Q(x))\nP(a)\nQuestion: P(b) -> Q(b)"
DEDUCED = "P(b) [assume] [3]\nQ(b) [1 3 mp] [4]\nP(b) -> Q(b) [3 4 cp] [5]\nAnswer: True"


class Here:
    """A cluster that is this machine, to which nobody has to connect."""

    def machine(self, home: Path) -> Machine:
        return detect_machine(home)

    def connect(self, needs: object) -> None:
        pass


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(commands.app_with(Here()), list(arguments), input=stdin)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path / "home"))
    file = tmp_path / "asked.txt"
    file.write_text(ASKED)
    return file


@pytest.fixture
def model(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str, int], str]], Says]:
    """Lets a real model's directory answer by a script: nothing is started."""

    def script(text: Callable[[str, int], str]) -> Says:
        says = Says(text)
        monkeypatch.setattr(SamplerGroup, "__init__", lambda *_, **__: None)
        monkeypatch.setattr(SamplerGroup, "__exit__", lambda *_: None)
        monkeypatch.setattr(SamplerGroup, "sample", lambda _, *given: says.sample(*given))
        return says

    return script


def test_an_answer_comes_with_its_proof(file: Path, model: Any, tiny_model: Path) -> None:
    says = model(lambda prompt, number: PROOF if number == 1 else "Answer: True")
    done = run(str(file), "--model", str(tiny_model), "--samples", "2")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:10] == [
        "1  Each wumpus is a tumpus.",
        "2  Tumpuses are not sour.",
        "3  Every tumpus is a vumpus.",
        "4  Max is a wumpus.",
        "   Question: Max is sour.",
        "",
        "5  Max is a tumpus.  mp 1, 4",
        "6  Max is not sour.  mp 2, 5",
        "   Answer: False",
        "",
    ]
    assert "mp: What a rule promises holds where all its conditions do" in done.output
    by = "Accepted by the rules of inference and Z3. It took 2 replies of at most 2 of"
    assert done.output.splitlines()[-1] == f"{by} {tiny_model} (weights)."
    assert says.chats[0][0].text == "Prove or refute."
    assert says.chats[0][1].text.endswith("Max is a wumpus. [4]\nTrue or false: Max is sour.")
    assert [each.max_new_tokens for _, each in says.samplings] == [512, 512]


def test_an_answer_that_nobody_proved_is_never_printed(file: Path, model: Any, tiny_model: Path) -> None:
    model(lambda prompt, number: "Answer: False")
    done = run(str(file), "--model", str(tiny_model), "--samples", "5")
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == (
        "No answer: no proof was found: none of 5 replies passes both checkers (unsettled 5)"
    )
    assert "False" not in done.output


def test_standard_input_and_json(file: Path, model: Any, tiny_model: Path) -> None:
    model(lambda prompt, number: DEDUCED)
    done = run("-", "--model", str(tiny_model), "--json", stdin=FIRST_ORDER)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "id": 1,
        "premises": ["all x (P(x) -> Q(x))", "P(a)"],
        "question": "P(b) -> Q(b)",
        "task": "formal",
        "answer": "True",
        "proof": DEDUCED,
        "worlds": [],
        "reason": None,
        "checkers": ["rules", "z3"],
        "samples": 1,
        "faults": {},
        "model": str(tiny_model),
        "model_id": "weights",
    }


def test_an_answer_unknown_shows_its_worlds(file: Path, model: Any, tiny_model: Path) -> None:
    model(lambda prompt, number: "Answer: Unknown")
    file.write_text("all x (P(x) -> Q(x))\nP(a)\nQuestion: R(a)")
    done = run(str(file), "--model", str(tiny_model))
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[5:11] == [
        "",
        "It holds in this world of the premises:",
        "  1 thing: a",
        "  True: P(a), Q(a), R(a); nothing else.",
        "It does not hold in this world of the premises:",
        "  1 thing: a",
    ], done.output
    done = run(str(file), "--model", str(tiny_model), "--json")
    assert [world.split("\n")[1] for world in json.loads(done.stdout)["worlds"]] == [
        "True: P(a), Q(a), R(a); nothing else.",
        "True: P(a), Q(a); nothing else.",
    ]


def test_several_questions_and_one_that_cannot_be_answered(file: Path, model: Any, tiny_model: Path) -> None:
    clash = {
        "premises": ["Max is sour.", "Max is not sour.", "Each cat is a pet."],
        "question": "Max is sour.",
    }
    rows = [{"premises": CHAIN, "question": "Max is sour.", "id": "sour"}, {**clash, "id": "clash"}]
    file.write_text("\n".join(map(json.dumps, rows)))
    model(lambda prompt, number: PROOF)
    done = run(str(file), "--model", str(tiny_model), "--json")
    assert done.exit_code == 1
    sour, unclear = map(json.loads, done.stdout.splitlines())
    assert (sour["id"], sour["answer"], sour["proof"]) == ("sour", "False", PROOF)
    assert (unclear["id"], unclear["answer"], unclear["proof"], unclear["samples"]) == (
        "clash",
        None,
        None,
        0,
    )
    assert unclear["reason"] == "the premises contradict each other, so that anything follows from them"
    told = run(str(file), "--model", str(tiny_model)).output
    assert told.count("\n---\n") == 1 and "No answer: the premises contradict each other" in told


def test_unknown_is_said_with_its_worlds(file: Path, model: Any, tiny_model: Path) -> None:
    file.write_text("P(a)\nQuestion: P(b)")
    model(lambda prompt, number: "Answer: Unknown")
    done = run(str(file), "--model", str(tiny_model))
    assert done.exit_code == 0
    assert "Answer: Unknown" in done.output
    assert "It holds in this world of the premises:\n  1 thing: a (also b)" in done.output
    assert "It does not hold in this world of the premises:" in done.output


def test_text_of_a_model_steers_no_terminal(file: Path, model: Any, tiny_model: Path) -> None:
    model(lambda prompt, number: "\x1b[31mAnswer: True")
    done = run(str(file), "--model", str(tiny_model), "--samples", "1", "--json")
    assert "\x1b" not in done.output and json.loads(done.stdout)["proof"] is None


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        ("Max purrs.\nMax is red.", [], "asked.txt: line 1: no task reads 'Max purrs.'"),
        (ASKED, [], "no champion here was trained on prontoqa: --model names another model"),
        (ASKED, ["--model", "nonsense"], "model nonsense must be `embedded`, a directory"),
        (ASKED, ["--task", "proofwriter"], "line 1: no task reads 'Each wumpus is a tumpus.'"),
        (ASKED, ["--task", "records"], "--task records reads no questions; what is read: prontoqa"),
        (ASKED, ["--task", "none.yaml"], "none.yaml does not exist"),
        ("Anne is red.\nAnne is red.", [], "can be read as prontoqa and as proofwriter: --task says"),
        ("", [], "it must hold premises"),
    ],
)
def test_a_mistake_is_one_sentence(file: Path, text: str, arguments: list[str], sentence: str) -> None:
    file.write_text(text)
    done = run(str(file), *arguments)
    assert isinstance(done.exception, Mistake), done.output
    assert sentence in str(done.exception) and "\n" not in str(done.exception)
    assert done.output == ""
