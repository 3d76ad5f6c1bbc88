"""Formal problems: gold passes both checkers, Z3 labels them, and no surface tells the answer."""

import re
from collections import Counter
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from engine.logic import solver
from engine.logic.first_order.notation import FirstOrder
from engine.records import Problem, Status
from engine.tasks.formal import DIMENSIONS
from engine.tasks.formal_chains import Chain, Supply
from engine.tasks.formal_links import LINKS
from engine.tasks.formal_words import BINARY, NAMES, UNARY, NoSentence, sentence
from engine.verify import rules, sealed
from tests.support.proof_helpers import attempt, theory
from tests.support.suites import suite

ANSWERS = ("True", "False", "Unknown")
RULE_OF = {"and": "and_e", "or": "or_i", "iff": "iff_e", "xor": "xor_e", "relation": "mp"}
"""The rule that a kind of link is there for, where it has another name."""


def passes(problem: Problem, text: str) -> tuple[bool, bool]:
    given = attempt(text, problem_id=problem.id)
    by_rules, by_z3 = rules.verify(problem, given), sealed.verify(problem, given)
    return by_rules.status is Status.PASS, by_z3.status is Status.PASS


@pytest.mark.parametrize("kind", LINKS)
def test_gold_of_every_kind_passes_both_checkers_and_shows_its_rule(kind: str) -> None:
    problems = suite("formal", {"rule": [kind], "depth": [1, 3]}).draw(24, split="gate", seed=1)
    for problem in problems:
        assert passes(problem, problem.gold[0]) == (True, True), problem
        others = [each for each in ANSWERS if each != theory(problem).answer]
        for answer in others:
            wrong = re.sub("Answer: .*", f"Answer: {answer}", problem.gold[0])
            assert passes(problem, wrong) == (False, False), (problem, wrong)
        if theory(problem).answer != "Unknown":
            rule = RULE_OF.get(kind, kind)
            assert re.search(rf"[ \[]{rule}\]", problem.gold[0]), (kind, problem.gold[0])
    assert {theory(problem).answer for problem in problems} == set(ANSWERS)


@pytest.mark.parametrize("kind", LINKS)
def test_there_are_words_for_the_longest_chains_of_any_kind_of_link(kind: str) -> None:
    """Two chains of six links have one supply; `mixed` draws such kinds, if rarely."""
    rng = Random(0)
    supply = Supply(rng)
    for _ in range(2):
        chain = Chain(supply, rng)
        for _ in range(max(DIMENSIONS["depth"])):
            chain.extend(LINKS[kind])
        assert all(sentence(item.claim) for item in chain.premises)
    assert supply.unary(), "one is left for a broken link"


@pytest.mark.slow
def test_gold_in_english_formalizes_every_sentence_and_passes_both_checkers() -> None:
    problems = suite("formal", {"depth": [1, 2], "form": ["english"]}).draw(30, split="gate", seed=8)
    for problem in problems:
        premises, question = theory(problem).premises, theory(problem).question
        assert not re.search(r"[A-Z][A-Za-z]+\(", problem.turns[0]), "no formula is shown"
        rows = problem.gold[0].splitlines()
        header = [*(f"{text} [{n}]" for n, text in enumerate(premises, 1)), f"{question} [?]"]
        assert rows[: len(header)] == header
        assert passes(problem, problem.gold[0]) == (True, True), problem
        assert passes(problem, "\n".join(rows[1:])) == (False, False)
        turned = problem.gold[0].replace(header[0], f"-({premises[0]}) [1]")
        assert passes(problem, turned) == (False, False)


@pytest.mark.slow
def test_labels_are_those_of_the_solver_and_balanced() -> None:
    problems = suite("formal", {"depth": [1, 2, 4]}).draw(240, split="gate", seed=2)
    counts = Counter(theory(problem).answer for problem in problems)
    assert all(55 < counts[answer] < 105 for answer in ANSWERS), counts
    for problem in problems[:60]:
        notation = FirstOrder(theory(problem).premises)
        asked = notation.read_question(theory(problem).question)
        assert solver.consistent(notation.premises) is True
        assert solver.answer(notation.premises, asked) == theory(problem).answer


def test_a_proof_of_a_literal_has_a_line_for_every_link() -> None:
    for problem in suite("formal", {"depth": [5], "question": ["literal"]}).draw(30, split="gate", seed=3):
        if theory(problem).answer != "Unknown":
            assert len(problem.gold[0].splitlines()) - 1 >= 5


def test_a_prompt_has_each_sentence_with_its_formula() -> None:
    for problem in suite("formal").draw(40, split="gate", seed=4):
        premises, notation = theory(problem).premises, FirstOrder(theory(problem).premises)
        rows = problem.turns[0].splitlines()
        assert len(rows) == 2 * len(premises) + 2
        for number, (text, formula) in enumerate(zip(premises, notation.premises, strict=True)):
            assert rows[2 * number : 2 * number + 2] == [sentence(formula), f"{text} [{number + 1}]"]
        asked = notation.read_question(theory(problem).question)
        assert rows[-2:] == [f"True, false or unknown: {sentence(asked)}", theory(problem).question]


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("all x (Kind(x) -> -Happy(x))", None),
        ("-Happy(adam)", "Adam is not happy."),
        ("Admires(adam, clara)", "Adam admires Clara."),
        (
            "all x (PlaysChess(x) & -Happy(x) -> KeepsBees(x))",
            "Everyone who plays chess and is not happy keeps bees.",
        ),
        ("all x (Happy(x) xor -Lazy(x))", "Everyone either is happy or is not lazy, but not both."),
        ("all x (Happy(x) <-> Lazy(x))", "Someone is happy if and only if the same person is lazy."),
        ("-exists x (Happy(x) & Lazy(x))", "There is no one who is happy and is lazy."),
        (
            "all x all y (Happy(x) & Trusts(x, y) -> Lazy(y))",
            "If someone who is happy trusts someone, then the latter is lazy.",
        ),
        (
            "all x (Happy(x) & Lazy(adam) -> Shy(adam))",
            "If someone is happy and Adam is lazy, then Adam is shy.",
        ),
        ("(exists x Happy(x)) -> Lazy(adam)", "If there is someone who is happy, then Adam is lazy."),
        ("-(Happy(adam) & Lazy(adam))", "It is not the case that Adam is happy and Adam is lazy."),
        ("exists x all y Trusts(x, y)", None),
    ],
)
def test_sentences_say_what_formulas_do(formula: str, text: str | None) -> None:
    parsed = FirstOrder([formula]).premises[0]
    if text is None:
        with pytest.raises(NoSentence):
            sentence(parsed)
    else:
        assert sentence(parsed) == text


def test_words_are_different_and_can_be_denied() -> None:
    words = [*UNARY, *BINARY]
    assert len({word.symbol for word in words}) == len({word.says for word in words}) == len(words)
    assert len(set(NAMES)) == len(NAMES)
    for word in words:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", word.symbol) and " not " in word.denies


def bags(problems: Sequence[Problem], *, least: int) -> np.ndarray:
    """A row of counts for each problem: words and signs of premises and of the question, and the length.

    Words of less than `least` problems are left out.
    """
    counts: list[Counter[str]] = []
    for problem in problems:
        premises, _, asked = problem.turns[0].rpartition("True, false or unknown:")
        count = Counter(f"premises {word}" for word in re.findall(r"[A-Za-z]+|[^\sA-Za-z]", premises))
        count.update(f"question {word}" for word in re.findall(r"[A-Za-z]+|[^\sA-Za-z]", asked))
        counts.append(count)
    found = Counter(word for count in counts for word in count)
    words = sorted(word for word, num in found.items() if num >= least)
    rows = [
        [count[word] for word in words] + [len(p.turns[0])] for count, p in zip(counts, problems, strict=True)
    ]
    return np.array(rows, dtype=float)


def accuracy(rows: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Of a ridge classifier on a third that it has not seen."""
    order = np.random.default_rng(seed).permutation(len(labels))
    learnt, held_out = order[: 2 * len(order) // 3], order[2 * len(order) // 3 :]
    scaled = (rows - rows[learnt].mean(0)) / (rows[learnt].std(0) + 1e-9)
    scaled = np.c_[scaled, np.ones(len(scaled))]
    targets = np.eye(len(ANSWERS))[labels]
    penalty = 30 * np.eye(scaled.shape[1])
    weights = np.linalg.solve(scaled[learnt].T @ scaled[learnt] + penalty, scaled[learnt].T @ targets[learnt])
    return float(((scaled[held_out] @ weights).argmax(1) == labels[held_out]).mean())


@pytest.mark.slow
@pytest.mark.parametrize("question", ["literal", "compound"])
def test_a_bag_of_words_does_not_tell_the_answer(question: str) -> None:
    """With all words, and with frequent ones, which say how sentences are built; chance is a third."""
    problems = suite("formal", {"depth": [1, 2], "question": [question]}).draw(750, split="gate", seed=5)
    labels = np.array([ANSWERS.index(theory(problem).answer) for problem in problems])
    for least in (20, 150):
        found = np.mean([accuracy(bags(problems, least=least), labels, seed) for seed in range(4)])
        assert found < 0.40, (least, found)


@pytest.mark.slow
def test_the_classifier_would_find_a_shortcut() -> None:
    """The same classifier on PrOntoQA-like leakage: a sign that goes with the answer is found at once."""
    problems = suite("formal", {"depth": [1], "question": ["literal"]}).draw(300, split="gate", seed=6)
    labels = np.array([ANSWERS.index(theory(problem).answer) for problem in problems])
    rows = bags(problems, least=20)
    leaking = np.c_[rows, labels == 2]
    assert accuracy(leaking, labels, 0) > 0.5
