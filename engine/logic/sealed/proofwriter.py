"""ProofWriter's English, read word by word."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not
from engine.logic.sealed import Unreadable
from engine.logic.sealed.closed_world import Signed, all_false

_CLOSING = "Nothing else is true."
_RELATIONS = ("chase", "eat", "like", "need", "see", "visit")
_STRUCTURE = {"the", "all", "if", "then", "and", "is", "are", "not", "does", "do", "it", "they"}
_STRUCTURE |= {"something", "someone", "things", "people", "x", *_RELATIONS}
"""Words that are no attributes and no things."""
_PRONOUNS = {"something": "it", "someone": "they"}
_MOST_CONDITIONS = 8
_ABOUT_ALL = "x"


@dataclass(frozen=True, slots=True)
class _Literal:
    """What a clause says: its subject, an attribute or a relation, and what it relates to, if anything."""

    subject: str
    is_denied: bool
    word: str
    other: str = ""

    def formula(self) -> Formula:
        atom = Atom(self.word, (self.subject, self.other) if self.other else (self.subject,))
        return Not(atom) if self.is_denied else atom

    def signed(self) -> Signed:
        fact = (self.word, self.subject, self.other) if self.other else (self.word, self.subject)
        return self.is_denied, fact

    def text(self, pronoun: str) -> str:
        subject = pronoun if self.subject == _ABOUT_ALL else _named(self.subject)
        if not self.other:
            return f"{subject} is {'not ' * self.is_denied}{self.word}"
        verb = f"does not {self.word}" if self.is_denied else self.word + "s"
        return f"{subject} {verb} {_named(self.other)}"


@dataclass(frozen=True, slots=True)
class _Statement:
    conditions: tuple[_Literal, ...]
    """None of a fact."""
    head: _Literal

    @property
    def is_general(self) -> bool:
        return any(each.subject == _ABOUT_ALL for each in self.conditions)


def _named(thing: str) -> str:
    return thing if thing[0] in ascii_uppercase else "the " + thing


def _plain(word: str) -> str:
    """An attribute, or a word of a thing. Raises Unreadable for any other."""
    if not word or set(word) - set(ascii_lowercase) or len(word) > 40 or word in _STRUCTURE:
        raise Unreadable(f"'{word[:40]}' is no attribute and no thing")
    return word


def _thing(words: Sequence[str]) -> str:
    if words[:1] == ["the"] and 2 <= len(words) <= 4:
        return " ".join(_plain(word) for word in words[1:])
    if len(words) == 1 and words[0][0] in ascii_uppercase:
        return _name(words[0])
    raise Unreadable(f"'{' '.join(words)[:80]}' is no thing")


def _name(word: str) -> str:
    if set(word[1:]) - set(ascii_lowercase) or len(word) > 40 or word.lower() in _STRUCTURE:
        raise Unreadable(f"'{word[:40]}' is no name")
    return word


class _Reading:
    """Reads the clauses of one sentence from left to right."""

    def __init__(self) -> None:
        self.introduced = ""
        """Something or someone, once the sentence has said it."""
        self._described = ""
        """What the clause before said an attribute of."""

    def condition(self, words: Sequence[str]) -> _Literal:
        alone = list(words[1:]) if words[:1] == ["not"] else list(words)
        if self._described and len(alone) == 1 and alone[0] and alone[0][0] in ascii_lowercase:
            return _Literal(self._described, len(words) == 2, _plain(alone[0]))
        return self.clause(words, may_introduce=True)

    def clause(self, words: Sequence[str], *, may_introduce: bool) -> _Literal:
        at, verb = next(((i, word) for i, word in enumerate(words) if word in ("is", "are")), (0, ""))
        if at:
            subject = self._subject(words[:at], many=verb == "are", may_introduce=may_introduce)
            rest = list(words[at + 1 :])
            is_denied = rest[:1] == ["not"]
            if len(rest) != 1 + is_denied:
                raise Unreadable("one attribute follows its verb")
            self._described = subject
            return _Literal(subject, is_denied, _plain(rest[-1]))
        self._described = ""
        start = self._object_at(words)
        other, before = _thing(words[start:]), list(words[:start])
        verb = before.pop()
        is_denied = before[-1:] == ["not"]
        if is_denied:
            many = before[-2:-1] == ["do"]
            if not many and before[-2:-1] != ["does"]:
                raise Unreadable("a relation is denied by 'does not'")
            del before[-2:]
            relation = verb
        else:
            many = not verb.endswith("s")
            relation = verb if many else verb[:-1]
        if relation not in _RELATIONS:
            raise Unreadable(f"'{verb[:40]}' is no relation")
        return _Literal(
            self._subject(before, many=many, may_introduce=may_introduce), is_denied, relation, other
        )

    @staticmethod
    def _object_at(words: Sequence[str]) -> int:
        """Where the last thing of a clause begins: at its article, or at the name at the end."""
        articles = [i for i, word in enumerate(words) if word == "the"]
        start = (
            articles[-1] if words and words[-1][:1] in set(ascii_lowercase) and articles else len(words) - 1
        )
        if start < 2:
            raise Unreadable("a relation stands between two things")
        return start

    def _subject(self, words: Sequence[str], *, many: bool, may_introduce: bool) -> str:
        only = words[0] if len(words) == 1 else ""
        if many != (only == "they"):
            raise Unreadable("subject and verb do not agree")
        if only in _PRONOUNS:
            if self.introduced or not may_introduce:
                raise Unreadable(f"'{only}' stands in the wrong place")
            self.introduced = only
            return _ABOUT_ALL
        if only in _PRONOUNS.values():
            if _PRONOUNS.get(self.introduced) != only:
                raise Unreadable(f"'{only}' means nothing here")
            return _ABOUT_ALL
        return _thing(words)


def _take_apart(text: str) -> _Statement:
    """Raises Unreadable for a text that is no statement."""
    words = text.split()
    if not words or not words[-1].endswith(".") or words[-1] == ".":
        raise Unreadable("a statement ends in a full stop")
    words[-1] = words[-1][:-1]
    reading = _Reading()
    if words[0] == "If":
        if words.count("then") != 1:
            raise Unreadable("a rule has one 'then'")
        then = words.index("then")
        conditions = tuple(reading.condition(part) for part in _split(words[1:then], "and"))
        head = reading.clause(words[then + 1 :], may_introduce=False)
    elif (are := _verb_of_all(words)) > 1:
        conditions = tuple(_attributes(words[: are - 1]))
        rest = words[are + 1 :]
        is_denied = rest[:1] == ["not"]
        if len(rest) != 1 + is_denied:
            raise Unreadable("one attribute follows its verb")
        head = _Literal(_ABOUT_ALL, is_denied, _plain(rest[-1]))
    else:
        if words[0] == "The":
            words[0] = "the"
        elif words[0][0] not in ascii_uppercase:
            raise Unreadable("a statement begins with a capital")
        return _Statement((), reading.clause(words, may_introduce=False))
    if len(conditions) > _MOST_CONDITIONS:
        raise Unreadable("a rule has too many conditions")
    return _Statement(conditions, head)


def _verb_of_all(words: Sequence[str]) -> int:
    """Where ``are`` is after ``things`` or ``people`` in a rule about all of them; 0 where it does not."""
    at = words.index("are") if "are" in words else 0
    return at if at and words[at - 1] in ("things", "people") and words[0] != "The" else 0


def _split(words: Sequence[str], at: str) -> Iterator[list[str]]:
    part: list[str] = []
    for word in words:
        if word == at:
            yield part
            part = []
        else:
            part.append(word)
    yield part


def _attributes(words: Sequence[str]) -> Iterator[_Literal]:
    """The attributes before ``things``: with commas between them, after ``All`` or with a capital."""
    listed = list(words[1:]) if words[0] == "All" else [words[0][:1].lower() + words[0][1:], *words[1:]]
    if words[0] != "All" and words[0][:1] not in set(ascii_uppercase):
        raise Unreadable("a statement begins with a capital")
    if not listed:
        raise Unreadable("a rule is about things with an attribute")
    for place, word in enumerate(listed, 1):
        if (place < len(listed)) != word.endswith(","):
            raise Unreadable("commas stand between attributes")
        yield _Literal(_ABOUT_ALL, False, _plain(word.removesuffix(",")))


class Rulebook:
    """The statements of one problem."""

    def __init__(self, premises: Sequence[str]) -> None:
        """Raises Unreadable for a premise that is no statement, and for a closed world that is not one."""
        self.is_closed = bool(premises) and premises[-1] == _CLOSING
        said = [_take_apart(text) for text in (premises[:-1] if self.is_closed else premises)]
        self.premises = [_formula(each) for each in said]
        if self.is_closed:
            rules = [
                (tuple(each.signed() for each in statement.conditions), statement.head.signed())
                for statement in said
            ]
            self.premises.append(all_false(rules, _ABOUT_ALL))

    def read(self, text: str) -> Formula:
        return _formula(_take_apart(text))

    def written(self, text: str) -> str:
        """The one wording of a statement."""
        statement = _take_apart(text)
        pronouns, clauses = ["something", *["it"] * _MOST_CONDITIONS], []
        for literal in statement.conditions:
            clauses.append(literal.text(pronouns[0]))
            del pronouns[: literal.subject == _ABOUT_ALL]
        head = statement.head.text("it")
        sentence = f"if {' and '.join(clauses)} then {head}" if clauses else head
        return sentence[0].upper() + sentence[1:] + "."


def _formula(statement: _Statement) -> Formula:
    head = statement.head.formula()
    if not statement.conditions:
        return head
    condition = statement.conditions[0].formula()
    for literal in statement.conditions[1:]:
        condition = And(condition, literal.formula())
    rule = Implies(condition, head)
    return ForAll(_ABOUT_ALL, rule) if statement.is_general else rule


def without_contraposition(formula: Formula) -> Formula:
    """The formula with a predicate of its own for each denial: rules then lead forwards only."""
    if isinstance(formula, ForAll):
        return ForAll(formula.variable, without_contraposition(formula.body))
    if isinstance(formula, And | Implies):
        left, right = without_contraposition(formula.left), without_contraposition(formula.right)
        return type(formula)(left, right)
    if isinstance(formula, Not) and isinstance(formula.body, Atom):
        return Atom("not " + formula.body.predicate, formula.body.args)
    return formula
