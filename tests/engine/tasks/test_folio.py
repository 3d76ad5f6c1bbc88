"""Task `folio`: both layouts are read, what cannot be used is left out with its reason, gold passes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from configs.tasks import FolioTask
from engine.records import Problem, Status
from engine.tasks import folio, load_task, problem_id, proofs, read_file
from engine.tasks.fixed import Fixed
from engine.tasks.folio_checked import CheckedFile, Reason, check_file
from engine.tasks.suite import DataError, Ratio, Share
from engine.verify import rules, sealed
from tests.support.proof_helpers import attempt, theory

SHARED = Path(__file__).parents[4] / "shared"
VALIDATION = SHARED / "data" / "folio" / "validation-64.jsonl"
TRAIN = SHARED / "data" / "folio" / "train.jsonl"
PROVERQA = SHARED / "field" / "layouts" / "proverqa.json"

STORY = {
    "premises": [
        "All poets write.",
        "Everyone who writes reads or dreams.",
        "Ann is a poet.",
        "Ann does not dream.",
    ],
    "premises-FOL": [
        "∀x (Poet(x) → Write(x))",
        "∀x (Write(x) → (Read(x) ∨ Dream(x)))",
        "Poet(ann)",
        "¬Dream(ann)",
    ],
}
READS = {**STORY, "conclusion": "Ann reads.", "conclusion-FOL": "Read(ann)", "label": "True"}
QA = {
    "id": 7,
    "options": ["A) True", "B) False", "C) Uncertain"],
    "answer": "B",
    "question": "Is the following statement true, false, or uncertain? Ann repairs clocks.",
    "context": "Anyone who repairs clocks sails. Ann does not sail.",
    "nl2fol": {
        "Ann does not sail.": "¬sails(Ann)",
        "Anyone who repairs clocks sails.": "∀x (repairs_clocks(x) → sails(x))",
    },
    "conclusion_fol": "repairs_clocks(Ann)",
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path / "home"))


def written(tmp_path: Path, *records: Any, name: str = "stories.jsonl") -> Path:
    file = tmp_path / name
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return file


def passes(problem: Problem, text: str) -> tuple[bool, bool]:
    given = attempt(text, problem_id=problem.id)
    by_rules, by_z3 = rules.verify(problem, given), sealed.verify(problem, given)
    return by_rules.status is Status.PASS, by_z3.status is Status.PASS


def reasons(file: CheckedFile) -> Counter[str]:
    return Counter(each.reason for each in file.records)


def test_a_record_becomes_a_prompt_with_sentences_and_formulas(tmp_path: Path) -> None:
    (problem,) = folio.read(written(tmp_path, READS))
    assert problem.turns[0] == (
        "All poets write.\nall x (Poet(x) -> Write(x)) [1]\n"
        "Everyone who writes reads or dreams.\nall x (Write(x) -> Read(x) | Dream(x)) [2]\n"
        "Ann is a poet.\nPoet(ann) [3]\nAnn does not dream.\n-Dream(ann) [4]\n"
        "True, false or unknown: Ann reads.\nRead(ann)"
    )
    assert (theory(problem).answer, problem.slice) == ("True", "question=literal")
    assert problem.gold == (
        "Write(ann) [1 3 mp] [5]\nRead(ann) | Dream(ann) [2 5 mp] [6]\nRead(ann) [6 4 ds] [7]\nAnswer: True",
    )
    assert passes(problem, problem.gold[0]) == (True, True)
    assert passes(problem, "Answer: Unknown") == (False, False)


def test_in_english_the_model_formalizes_each_sentence_first(tmp_path: Path) -> None:
    file = written(tmp_path, READS, QA)
    settings = FolioTask(file=str(file), form="english")
    problem, asked = read_file(settings, file)
    assert problem.turns[0] == (
        "All poets write. [1]\nEveryone who writes reads or dreams. [2]\nAnn is a poet. [3]\n"
        "Ann does not dream. [4]\nTrue, false or unknown: Ann reads. [?]"
    )
    assert problem.gold[0].splitlines()[3:6] == [
        "-Dream(ann) [4]",
        "Read(ann) [?]",
        "Write(ann) [1 3 mp] [5]",
    ]
    for each in (problem, asked):
        assert passes(each, each.gold[0]) == (True, True)
    renamed = problem.gold[0].replace("Poet", "Writer").replace("ann", "her")
    assert passes(problem, renamed) == (True, True), "the names are the model's own"
    other = problem.gold[0].replace("-Dream(ann) [4]", "-Dream(bob) [4]")
    assert passes(problem, other) == (False, False)
    assert problem.id != folio.read(file)[0].id


def test_figures_tell_formulas_from_proofs(tmp_path: Path) -> None:
    """What is formalized counts by itself, whatever the proof is worth; without formulas it is left out."""
    file = written(tmp_path, READS)
    (problem,) = read_file(FolioTask(file=str(file), form="english"), file)
    rows = problem.gold[0].splitlines()
    texts = {
        "gold": problem.gold[0],
        "no proof": "\n".join([*rows[:5], "Answer: True"]),
        "one wrong": problem.gold[0].replace("Poet(ann) [3]", "-Poet(ann) [3]"),
        "two senses": problem.gold[0].replace("Poet(ann) [3]", "Poet(bob) [3]"),
        "one unread": problem.gold[0].replace("Poet(ann) [3]", "Poet(ann [3]"),
        "one line": rows[0],
        "no labels": "\n".join([rows[0], *(row.rpartition(" [")[0] for row in rows[1:5]), "Answer: True"]),
        "bad line": f"{problem.gold[0].rpartition(chr(10))[0]}\nRead(ann) [8]\nAnswer: True",
        "nothing": "",
    }
    figures = {figure.key: figure for figure in proofs.FIGURES_OF_FORMULAS}
    formalized, parsed = figures["formalized"], figures["formulas_parsed"]
    assert isinstance(formalized, Share) and isinstance(parsed, Ratio)
    found = {name: rules.verify(problem, attempt(text)) for name, text in texts.items()}
    assert {name: formalized.holds(verdict) for name, verdict in found.items()} == {
        "gold": True,
        "no proof": True,
        "one wrong": False,
        "two senses": False,
        "one unread": False,
        "one line": False,
        "no labels": False,
        "bad line": True,
        "nothing": False,
    }
    assert {name: parsed.parts(verdict) for name, verdict in found.items()} == {
        "gold": (5, 5),
        "no proof": (5, 5),
        "one wrong": (5, 5),
        "two senses": (5, 5),
        "one unread": (4, 5),
        "one line": (1, 5),
        "no labels": (1, 5),
        "bad line": (5, 5),
        "nothing": (0, 5),
    }
    right = figures["formulas_right"]
    assert isinstance(right, Ratio)
    assert {name: right.parts(verdict) for name, verdict in found.items()} == {
        "gold": (5, 5),
        "no proof": (5, 5),
        "one wrong": (4, 5),
        "two senses": (5, 5),
        "one unread": (4, 5),
        "one line": (1, 5),
        "no labels": (1, 5),
        "bad line": (5, 5),
        "nothing": (0, 5),
    }
    consistent = figures["formulas_consistent"]
    assert isinstance(consistent, Share)
    clash = problem.gold[0].replace("-Dream(ann) [4]", "-Poet(ann) [4]")
    found |= {"clash": rules.verify(problem, attempt(clash))}
    assert {name for name, verdict in found.items() if consistent.holds(verdict)} == {
        "gold", "no proof", "one wrong", "two senses", "bad line"
    }  # fmt: skip
    assert formalized.among is not None and formalized.among(problem)
    assert not formalized.among(folio.read(file)[0])


@pytest.mark.parametrize(
    ("label", "known"), [("Uncertain", "Unknown"), ("Unknown", "Unknown"), ("true", "True")]
)
def test_both_vocabularies_of_labels_are_read(tmp_path: Path, label: str, known: str) -> None:
    asked = {"conclusion-FOL": "Poet(bob)"} if known == "Unknown" else {}
    (problem,) = folio.read(written(tmp_path, {**READS, **asked, "label": label}))
    assert theory(problem).answer == known
    assert passes(problem, problem.gold[0]) == (True, True)


def test_texts_of_several_lines_are_read_as_lists(tmp_path: Path) -> None:
    lines = {key: "\n".join(STORY[key]) for key in ("premises", "premises-FOL")}
    (problem,) = folio.read(written(tmp_path, {**READS, **lines}))
    assert problem == folio.read(written(tmp_path, READS))[0]


def test_proverqa_is_read_by_the_same_task(tmp_path: Path) -> None:
    (problem,) = folio.read(written(tmp_path, QA))
    assert theory(problem).premises == ("all x (Repairs_clocks(x) -> Sails(x))", "-Sails(ann)")
    assert theory(problem).answer == "False"
    assert passes(problem, problem.gold[0]) == (True, True)


@pytest.mark.skipif(not PROVERQA.exists(), reason="the layout is not here")
def test_the_layout_of_proverqa_at_hand_is_read() -> None:
    (problem,) = folio.read(PROVERQA)
    assert theory(problem).answer == "False" and len(theory(problem).premises) == 4
    assert passes(problem, problem.gold[0]) == (True, True)


@pytest.mark.parametrize(
    ("record", "reason", "why"),
    [
        ({**READS, "premises-FOL": STORY["premises-FOL"][:3]}, Reason.COUNT, "4 premises, but 3 formulas"),
        ({**READS, "conclusion-FOL": "Read(ann))"}, Reason.FORMULA, "the conclusion: column 10"),
        (
            {**READS, "premises-FOL": ["∀x (Poet(x) → ", *STORY["premises-FOL"][1:]]},
            Reason.FORMULA,
            "premise 1: column",
        ),
        (
            {**READS, "premises-FOL": ["¬Poet(ann)", *STORY["premises-FOL"][1:]]},
            Reason.CONTRADICTORY,
            "contradict each other",
        ),
        ({**READS, "label": "False"}, Reason.LABEL, "labelled False, but the solver finds True"),
        (
            {**READS, "label": "Maybe"},
            Reason.UNREADABLE,
            "'label' must say True, False, Unknown or Uncertain",
        ),
        ({**READS, "premises": 3}, Reason.UNREADABLE, "'premises' must be a list of texts"),
        ({**QA, "answer": "D"}, Reason.UNREADABLE, "'answer' must be the letter of one option"),
        ({**QA, "context": "Ann does not sail."}, Reason.UNREADABLE, "the context lacks a sentence"),
        ({**QA, "context": f"{QA['context']} Ann sings."}, Reason.UNREADABLE, "without a formula"),
        ({**QA, "nl2fol": []}, Reason.UNREADABLE, "'nl2fol' must be an object of texts"),
        ("story", Reason.UNREADABLE, "expected an object"),
        ({"question": "x"}, Reason.UNREADABLE, "the layouts that are read are FOLIO's"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_its_reason(
    tmp_path: Path, record: Any, reason: Reason, why: str
) -> None:
    file = written(tmp_path, READS, record)
    good, bad = check_file(file).records
    assert good.reason == "" and bad.reason == reason and why in bad.why
    assert bad.record.place == "stories.jsonl, record 2"
    assert len(folio.read(file)) == 1
    suite = load_task("folio").open(FolioTask(file=str(file)))
    assert "1 of 2 records are left out" in suite.notes[0]  # type: ignore[attr-defined]
    only = written(tmp_path, record, record, name="only.jsonl")
    with pytest.raises(DataError, match=r"only.jsonl has no record that can be used: 2 of 2 records"):
        folio.read(only)


def test_a_conclusion_without_a_formula_gets_questions_of_the_solver(tmp_path: Path) -> None:
    """As in the published training part: its own conclusions cannot be put to the solver."""
    plain = {key: value for key, value in READS.items() if key != "conclusion-FOL"}
    file = written(tmp_path, plain, {**plain, "conclusion": "Ann sings.", "label": "Unknown"})
    problems = folio.read(file)
    answers = Counter(theory(problem).answer for problem in problems)
    assert set(answers) == {"True", "False", "Unknown"} and max(answers.values()) <= 2
    assert len({theory(problem).premises for problem in problems}) == 1
    for problem in problems:
        assert theory(problem).question not in theory(problem).premises
        if problem.gold:
            assert passes(problem, problem.gold[0]) == (True, True)
    assert sum(bool(problem.gold) for problem in problems) >= len(problems) - 1
    assert folio.read(file) == problems


def test_what_is_found_of_a_file_is_kept_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, READS)
    first = check_file(file)
    monkeypatch.setattr("engine.tasks.folio_checked.check_record", lambda record: 1 / 0)
    assert check_file(file) == first
    file = written(tmp_path, {**READS, "label": "False"})
    with pytest.raises(ZeroDivisionError):
        check_file(file)


def stories(num: int) -> list[dict[str, Any]]:
    """Stories with two questions each."""
    rows: list[dict[str, Any]] = []
    for i in range(num):
        premises = {"premises": [f"Ann is a {i}."], "premises-FOL": [f"P{i}(ann) ∧ ¬Q(ann)"]}
        asked = [(f"P{i}(ann)", "True"), ("Q(ann)", "False")]
        rows += [
            {**premises, "conclusion": "So.", "conclusion-FOL": formula, "label": label}
            for formula, label in asked
        ]
    return rows


def test_stories_stay_together_and_the_sealed_file_is_opened_last(tmp_path: Path) -> None:
    train, last = stories(60), stories(80)[110:]  # five stories are in both files
    files = written(tmp_path, *train), written(tmp_path, *last, name="sealed.jsonl")
    settings = FolioTask(
        file=str(files[0]),
        sealed=str(files[1]),
        shares={"train": 0.5, "probe": 0.2, "gate": 0.3, "sealed": 0.0},  # type: ignore[arg-type]
    )
    suite = load_task("folio").open(settings)
    assert isinstance(suite, Fixed)
    parts = {
        part: {theory(record.problem).premises for record in suite.records(part)}
        for part in ("train", "probe", "gate", "sealed")
    }
    assert len(parts["sealed"]) == 25 and sum(map(len, parts.values())) == 80
    assert all(parts.values()), "no part is empty"
    drawn = suite.draw(10, split="gate", seed=0)
    assert len({theory(problem).premises for problem in drawn}) == 10, "one question a story"
    assert {record.story for record in suite.records("sealed")}.isdisjoint(
        record.story for part in ("train", "probe", "gate") for record in suite.records(part)
    )


def test_a_story_is_one_whatever_its_conclusions_call_things(tmp_path: Path) -> None:
    """A conclusion with a name like one of the premises changes their names, and a line knows old stories."""
    premises = {"premises": ["Rina drinks."], "premises-FOL": ["Drinks(Rina)"]}
    rows = [
        {**premises, "conclusion": "So.", "conclusion-FOL": formula, "label": "Unknown"}
        for formula in ("Jokes(Rina)", "Jokes(rina)", "drinks(Rina)", "∀rina Drinks(rina)")
    ]
    problems = folio.read(written(tmp_path, *rows))
    assert len(problems) == 4 and len({theory(problem).premises for problem in problems}) > 1
    assert {problem.story for problem in problems} == {problem_id("folio", *theory(problems[0]).premises)}


@pytest.mark.skipif(not VALIDATION.exists(), reason="the public problems are not here")
def test_the_public_validation_part() -> None:
    """Of 64 records 56 can be used: the solver finds 56 of the 60 labels that it can be asked for."""
    checked = check_file(VALIDATION)
    assert reasons(checked) == {"": 56, "label": 4, "count": 3, "formula": 1}
    assert (checked.num_parsed, checked.num_formulas) == (184, 185)
    problems = folio.read(VALIDATION)
    proved = 0
    for problem in problems:
        if problem.gold:
            proved += 1
            assert passes(problem, problem.gold[0]) == (True, True), problem
    assert len(problems) == 56 and proved >= 50, proved


@pytest.mark.slow
@pytest.mark.skipif(not TRAIN.exists(), reason="the public problems are not here")
def test_the_public_training_part() -> None:
    checked = check_file(TRAIN)
    assert len(checked.records) == 1_004 and checked.num_parsed >= 0.97 * checked.num_formulas
    assert reasons(checked)[""] >= 950 and reasons(checked)["undecided"] == 0
    made = [each for record in checked.records for each in record.made]
    assert len(made) > 1_300 and sum(bool(each.gold) for each in made) > 0.9 * len(made)
