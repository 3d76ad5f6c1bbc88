"""ProofWriter's English: facts about things, and rules with several conditions.

    Anne is kind.   The cat does not see the bald eagle.   All rough, cold things are big.
    If someone sees the cat and they are not green then the cat is round.

A thing is a name (``Anne``) or a noun (``the bald eagle``), an attribute an adjective, a relation one of
`VERBS`. Every adjective and noun is taken as it stands, so that no form is guessed.

`CLOSED` may be the last premise. It says that the world is closed: what does not follow is false. It stands
for the denial of every such fact that the words of the problem can state (`engine.logic.closed_world`).
"""

import re
from collections.abc import Sequence
from functools import reduce
from typing import ClassVar, TypeAlias

from engine.logic.closed_world import NoOneWorld, falsehoods
from engine.logic.formulas import (
    And,
    Atom,
    ForAll,
    Formula,
    Implies,
    Not,
    constants_of,
    predicates_of,
)
from engine.logic.limits import MAX_TEXT
from engine.logic.notation import NotationError

CLOSED = "Nothing else is true."
VERBS = ("chase", "eat", "like", "need", "see", "visit")
"""Those of ProofWriter. Of others no reader knows whether `passes` comes from `pass` or from `passe`."""
VARIABLE = "x"
_MAX_CONDITIONS = 8
_NO_WORDS = frozenset(
    "the all if then and is are not does do it they something someone things people x".split()  # noqa: SIM905
)
"""No adjective, noun or name: they say how a sentence is built, or are the variable."""
_WORD = "[a-z]{1,40}"
_THING = rf"[A-Z][a-z]{{0,39}}|the {_WORD}(?: {_WORD}){{0,2}}?"
_SUBJECT = f"({_THING}|something|someone|it|they)"
_VERB = "|".join(VERBS)
_IS = re.compile(rf"{_SUBJECT} (is|are) (not )?({_WORD})")
_DOES = re.compile(rf"{_SUBJECT} (?:(does|do) not ({_VERB})|({_VERB})(s?)) ({_THING})")
_ALSO = re.compile(rf"(not )?({_WORD})")
_ALL = re.compile(
    rf"(?:All ({_WORD}(?:, {_WORD})*)|([A-Z][a-z]{{0,39}}(?:, {_WORD})*)) (?:things|people) are "
    rf"(not )?({_WORD})\."
)
_RULE = re.compile(r"If (.+?) then (.+)\.")


_Symbol: TypeAlias = str | tuple[str, int]
"""A thing, or a predicate with its number of arguments."""


class ProofWriter:
    """The notation of one problem: its premises parsed, and the words that claims may use."""

    unknown_takes_lines: ClassVar[bool] = True
    assumes_known: ClassVar[bool] = True

    def __init__(self, premises: Sequence[str]) -> None:
        """Raises NotationError for a premise that is no statement, and for a closed world that is not one."""
        self._words: set[_Symbol] | None = None
        self._is_closed = bool(premises) and premises[-1] == CLOSED
        said = [self.parse(text) for text in premises[: len(premises) - self._is_closed]]
        if self._is_closed:
            try:
                said.append(falsehoods(said))
            except NoOneWorld as error:
                raise NotationError(str(error)) from None
        self.premises = tuple(said)
        self._words = {word for premise in self.premises for word in _words_of(premise)}

    def read_question(self, text: str) -> Formula:
        """The formula of what is asked. In an open world it may use words of its own.

        In a closed one these would be false of everything, which no premise says. Raises NotationError.
        """
        if self._is_closed:
            return self.parse(text)
        known, self._words = self._words, None
        formula = self.parse(text)
        self._words = (known or set()) | _words_of(formula)
        return formula

    def parse(self, text: str) -> Formula:
        return self.read_claim(text)[0]

    def read_claim(self, text: str) -> tuple[Formula, str]:
        """The formula of a statement and its one wording. Raises NotationError."""
        if len(text) > MAX_TEXT or not text.isascii():
            raise NotationError("a statement is plain ASCII text of reasonable length")
        formula = _statement(" ".join(text.split()))
        if self._words is not None and (unknown := _words_of(formula) - self._words):
            shown = min(word if isinstance(word, str) else word[0] for word in unknown)
            raise NotationError(f"'{shown}' is not a word of this problem, used so")
        return formula, self.show(formula)

    def one_way(self, formula: Formula) -> Formula:
        """The formula with a predicate of its own for each denial, as ProofWriter's open world means it.

        There a rule is never used backwards: what does not follow forwards is unknown.
        """
        match formula:
            case Not(Atom(predicate, args)):
                return Atom(f"not {predicate}", args)
            case And(left, right) | Implies(left, right):
                return type(formula)(self.one_way(left), self.one_way(right))
            case ForAll(variable, body):
                return ForAll(variable, self.one_way(body))
        return formula

    def show(self, formula: Formula) -> str:
        """The one sentence of a formula. Raises NotationError where this English has none."""
        is_rule = isinstance(formula, ForAll) and formula.variable == VARIABLE
        matrix = formula.body if isinstance(formula, ForAll) and is_rule else formula
        if not isinstance(matrix, Implies):
            if is_rule:
                raise NotationError("only a rule is about all things")
            text, _ = _clause_text(matrix, "")
        else:
            pronoun, clauses = "something" if is_rule else "", list[str]()
            for condition in _conjuncts(matrix.left):
                clause, is_about_variable = _clause_text(condition, pronoun)
                pronoun = "it" if is_about_variable else pronoun
                clauses.append(clause)
            if pronoun == "something":
                raise NotationError("a rule about all things has a condition of them")
            text = f"if {' and '.join(clauses)} then {_clause_text(matrix.right, pronoun)[0]}"
        return f"{text[0].upper()}{text[1:]}."


def _statement(text: str) -> Formula:
    """Raises NotationError for a text that is none."""
    if match := _ALL.fullmatch(text):
        _, _, is_denied, head = match.groups()
        attributes = (match[1] or match[2].lower()).split(", ")
        facts: list[Formula] = [Atom(_word(each), (VARIABLE,)) for each in attributes]
        return _rule(facts, _signed(Atom(_word(head), (VARIABLE,)), is_denied), is_about_all=True)
    if match := _RULE.fullmatch(text):
        clauses = _Clauses()
        conditions = [clauses.condition(part) for part in match[1].split(" and ")]
        head = clauses.clause(match[2], may_introduce=False)
        return _rule(conditions, head, is_about_all=clauses.pronoun != "")
    begins_with_noun = text.startswith("The ")
    fact = f"the {text[4:]}" if begins_with_noun else text
    if not fact.endswith(".") or fact.startswith("the ") and not begins_with_noun:
        raise NotationError(f"not a statement: '{text[:80]}'")
    return _Clauses().clause(fact[:-1], may_introduce=False)


class _Clauses:
    """The clauses of one statement in order: a pronoun means what an earlier one introduced."""

    def __init__(self) -> None:
        self.pronoun = ""
        """What the variable is called once it is there: ``it`` after something, ``they`` after someone."""
        self._last = ""
        """The subject of the clause before, where that says what something is."""

    def condition(self, text: str) -> Formula:
        """A clause, or an adjective alone that says more of the last subject."""
        if self._last and (match := _ALSO.fullmatch(text)):
            return _signed(Atom(_word(match[2]), (self._last,)), match[1])
        return self.clause(text, may_introduce=True)

    def clause(self, text: str, *, may_introduce: bool) -> Formula:
        if match := _IS.fullmatch(text):
            subject, verb, is_denied, adjective = match.groups()
            self._check_number(text, subject, verb == "are")
            self._last = self._term(subject, may_introduce)
            return _signed(Atom(_word(adjective), (self._last,)), is_denied)
        if match := _DOES.fullmatch(text):
            subject, auxiliary, denied, verb, ending, thing = match.groups()
            self._check_number(text, subject, auxiliary == "do" if auxiliary else not ending)
            self._last = ""
            args = self._term(subject, may_introduce), _thing(thing)
            return _signed(Atom(denied or verb, args), auxiliary)
        raise NotationError(f"not a statement: '{text[:80]}'")

    def _term(self, subject: str, may_introduce: bool) -> str:
        if subject in ("something", "someone"):
            if self.pronoun or not may_introduce:
                raise NotationError(f"'{subject}' stands only in a condition, and once")
            self.pronoun = "it" if subject == "something" else "they"
            return VARIABLE
        if subject in ("it", "they"):
            if subject != self.pronoun:
                raise NotationError(f"'{subject}' means nothing here")
            return VARIABLE
        return _thing(subject)

    @staticmethod
    def _check_number(text: str, subject: str, is_plural: bool) -> None:
        if is_plural != (subject == "they"):
            raise NotationError(f"subject and verb do not agree: '{text[:80]}'")


def _rule(conditions: Sequence[Formula], head: Formula, *, is_about_all: bool) -> Formula:
    if len(conditions) > _MAX_CONDITIONS:
        raise NotationError(f"a rule has at most {_MAX_CONDITIONS} conditions, got {len(conditions)}")
    rule = Implies(reduce(And, conditions), head)
    return ForAll(VARIABLE, rule) if is_about_all else rule


def _signed(atom: Atom, denied: str | None) -> Formula:
    return Not(atom) if denied else atom


def _word(word: str) -> str:
    if word in _NO_WORDS or word in VERBS:
        raise NotationError(f"'{word}' is no word for an attribute or a thing")
    return word


def _thing(text: str) -> str:
    for word in text.removeprefix("the ").split():
        _word(word.lower())
    return text.removeprefix("the ")


def _words_of(formula: Formula) -> set[_Symbol]:
    return {*constants_of(formula), *predicates_of(formula)}


def _conjuncts(formula: Formula) -> list[Formula]:
    if isinstance(formula, And):
        return [*_conjuncts(formula.left), formula.right]
    return [formula]


def _clause_text(literal: Formula, pronoun: str) -> tuple[str, bool]:
    """The words of a fact or of its denial, and whether they are about the variable, called `pronoun`."""
    atom = literal.body if isinstance(literal, Not) else literal
    if not isinstance(atom, Atom) or not 1 <= len(atom.args) <= 2 or VARIABLE in atom.args[1:]:
        raise NotationError("this English has no words for the formula")
    is_variable, is_denied = atom.args[0] == VARIABLE, isinstance(literal, Not)
    if is_variable and not pronoun:
        raise NotationError("this English has no words for the formula")
    subject = pronoun if is_variable else thing_text(atom.args[0])
    if len(atom.args) == 1:
        return f"{subject} is {'not ' if is_denied else ''}{atom.predicate}", is_variable
    verb = f"does not {atom.predicate}" if is_denied else f"{atom.predicate}s"
    return f"{subject} {verb} {thing_text(atom.args[1])}", is_variable


def thing_text(thing: str) -> str:
    """A name as it is, a noun with its article."""
    return thing if thing[0].isupper() else f"the {thing}"
