"""Problems that people pose, in a task's own prompt: what they prove is for a model to find.

A task whose problems people can pose has ``pose`` (`engine/tasks/suite.py`), made of what stands here, and
``STYLE``, a statement as it reads them. Nothing is guessed: a statement that is not read is named, with its
place.

Reading is quick whatever is written, because statements are few and each is read by itself. What takes a
closed world or Z3 to find wrong is left to the verifiers and their limits.
"""

import re
from collections.abc import Callable, Sequence

from engine.logic import NOTATIONS
from engine.logic.first_order.folio import read_folio, write_folio
from engine.logic.first_order.names import plain_names
from engine.logic.first_order.notation import FirstOrder, parse, show
from engine.logic.formulas import Formula
from engine.logic.notation import NotationError
from engine.logic.proofs import number_premises
from engine.logic.proofwriter import CLOSED
from engine.records import Problem, Theory
from engine.tasks import problem_id
from engine.tasks.first_order_prompts import prompt_of, theory_of_form
from engine.tasks.formal_words import NoSentence, sentence
from engine.tasks.suite import NotPosed

FORMULAS = "∀x (Student(x) → Reads(x)), or all x (Student(x) -> Reads(x))"
"""The ``STYLE`` of tasks whose problems are formulas."""
_SIGNS = set("∀∃¬∧∨→↔⊕&|=(")
"""What shows that a text was meant as a formula."""
_BLANK = re.compile(r"\s")
"""Also those that are not in ASCII, which stand in what is copied from a page."""
_MEANT = re.compile(r"[∀∃¬∧∨→↔⊕|=]|->|^[-~(\s]*(?:not |(?:all|exists) \w+\s*)*[-~(\s]*[A-Za-z]\w*\(")
"""Shows it in a text that could also be a sentence: none of FOLIO's sentences has any of it."""


def in_sentences(task: str, notation: str, asked: str, premises: Sequence[str], question: str) -> Problem:
    """The problem of sentences that are statements of a notation; `asked` stands before the question.

    Raises NotPosed for the first statement that is none.
    """
    premises, question = tuple(map(plain, premises)), plain(question)
    _require_statements(notation, premises, question)
    theory = Theory(premises=premises, question=question, notation=notation, answer="")
    return _problem(task, f"{number_premises(premises)}\n{asked}{question}", theory)


def plain(text: str) -> str:
    """A statement with one blank between its words and none around it."""
    return " ".join(text.split())


def _require_statements(notation: str, premises: Sequence[str], question: str) -> None:
    """Raise NotPosed where one is no statement of the notation. What a closed world denies is not read."""
    said = premises
    if notation == "proofwriter" and CLOSED in premises:
        said = premises[: premises.index(CLOSED)]
        if len(said) < len(premises) - 1:
            raise NotPosed("it can only be the last premise", len(said))
    try:
        NOTATIONS[notation](said).read_question(question)
        return
    except NotationError as error:
        wrong, fault = len(premises), error
    # Words of one premise decide how another is read. So the first so many that cannot be read are sought.
    least, most = 0, len(said)
    while least < most:
        middle = (least + most + 1) // 2
        try:
            NOTATIONS[notation](said[:middle])
            least = middle
        except NotationError as error:
            most, wrong, fault = middle - 1, middle - 1, error
    raise NotPosed(str(fault), wrong) from None


def in_formulas(task: str, premises: Sequence[str], question: str) -> Problem:
    """The problem of formulas, in the notation `first_order` or in FOLIO's.

    A text that is no formula is the sentence of the formula after it; the question may have one in a line
    before its own. Raises NotPosed for the first text that is neither.
    """
    # One character for one, so that columns stay.
    premises = [_BLANK.sub(" ", text) for text in premises]
    asked, _, formula = (_BLANK.sub(" ", text) for text in question.strip().rpartition("\n"))
    told, number, premise_places = "", 0, list[int]()
    sentences, texts = list[str](), list[str]()
    for number, text in enumerate(premises):
        if _is_formula(text):
            if _MEANT.search(told):
                raise _no_formula(number - 1, told)
            premise_places.append(number)
            sentences.append(told)
            texts.append(text)
        elif told:
            # Either a formula is wrong, or there is none.
            raise _no_formula(number, text) if _SIGNS & set(text) else _no_formula(number - 1, told)
        told = "" if _is_formula(text) else plain(text)
    if told:
        raise _no_formula(number, told)
    if not _is_formula(formula):
        raise _no_formula(len(premises), formula)
    if _MEANT.search(asked) or (asked and _is_formula(asked)):
        raise NotPosed("the question is one formula, with at most a sentence before it", len(premises))
    formulas = _read_alike([*premise_places, len(premises)], [*texts, formula])
    told_of = [*sentences, plain(asked)]
    if not any(told_of):
        told_of = _sentences(formulas)
    *given, claim = map(show, formulas)
    theory = theory_of_form("formal", given, claim, "")
    return _problem(task, prompt_of("formal", theory, told_of[:-1], told_of[-1]), theory)


def _read_alike(places: Sequence[int], texts: Sequence[str]) -> list[Formula]:
    """The formulas of the premises and, last, of the question; `places` are their numbers.

    All are taken in the notation `first_order`, in which models answer, or else all in FOLIO's. There a
    quantifier without brackets reaches further, so what both could read has to be alike in both.
    """
    try:
        formulas = [parse(text) for text in texts]
        FirstOrder(texts[:-1]).read_question(texts[-1])
        return formulas
    except NotationError:
        pass
    formulas = []
    for place, text in zip(places, texts, strict=True):
        try:
            formula, other = read_folio(text), _or_none(_read_alone, text)
        except NotationError as error:
            raise NotPosed(error.reason, place, error.column) from None
        if other not in (None, formula):
            raise NotPosed(f"it can be read as {write_folio(formula)} or otherwise: set brackets", place)
        formulas.append(formula)
    formulas = list(plain_names(formulas))
    *shown, question = map(show, formulas)
    try:
        FirstOrder(shown).read_question(question)
    except NotationError as error:
        raise NotPosed(error.reason, places[-1]) from None
    return formulas


def _is_formula(text: str) -> bool:
    return _or_none(parse, text) is not None or _or_none(read_folio, text) is not None


def _read_alone(text: str) -> Formula:
    """A formula in the notation `first_order`, whose names are used in one way. Raises NotationError."""
    return FirstOrder([text]).premises[0]


def _or_none(read: Callable[[str], Formula], text: str) -> Formula | None:
    try:
        return read(text)
    except NotationError:
        return None


def _no_formula(number: int, text: str) -> NotPosed:
    """Why a text is no formula, in the words of FOLIO's notation, which reads more than the other."""
    try:
        read_folio(text)
    except NotationError as error:
        return NotPosed(error.reason, number, error.column)
    raise AssertionError("it is a formula")


def _sentences(formulas: Sequence[Formula]) -> list[str]:
    """The sentences of formulas in the words of formal problems; none where any has no such words."""
    try:
        return [sentence(formula) for formula in formulas]
    except NoSentence:
        return [""] * len(formulas)


def _problem(task: str, turn: str, theory: Theory) -> Problem:
    return Problem(
        id=problem_id(task, turn),
        task=task,
        slice="",
        turns=(turn,),
        truth=theory,
        gold=(),
        split="",
        origin="",
    )
