"""One grammar of formulas for every script: tokens, a parser by recursive descent, and a printer.

Binding strength, tightest first: negation, quantifiers and equality; and; or; exclusive or; if-then, which
groups to the right; if-and-only-if. Everything else groups to the left.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.logic.formulas import And, Atom, Equals, Exists, ForAll, Formula, Iff, Implies, Join, Not, Or, Xor
from engine.logic.limits import MAX_DEPTH, MAX_TEXT
from engine.logic.notation import NotationError

NOT, ALL, EXISTS, EQUAL, UNEQUAL = "-", "all", "exists", "=", "!="
JOINS: tuple[tuple[str, type[Join]], ...] = (
    ("<->", Iff),
    ("->", Implies),
    ("xor", Xor),
    ("|", Or),
    ("&", And),
)
"""The signs between two formulas, from the loosest to the tightest."""
_LEVELS = {kind: (level, sign) for level, (sign, kind) in enumerate(JOINS)}
_TIGHTEST = len(JOINS)
_QUANTIFIERS: dict[str, type[ForAll] | type[Exists]] = {ALL: ForAll, EXISTS: Exists}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How the signs of the grammar are spelled, and what its names look like."""

    token: re.Pattern[str]
    """Its group 1 is the token, after any blanks."""
    signs: Mapping[str, str]
    """What a spelling means: a sign of the grammar, or a bracket or comma. Other tokens are names."""
    by_case: bool
    """A capital tells predicates from terms; otherwise any name can be either."""
    ends_with_stop: bool = False
    """A full stop after the formula is read over."""
    unbracketed_reach: bool = False
    """A quantifier before anything but a bracket reaches as far to the right as it can."""
    blanks: str = " "
    """The characters that may stand between tokens."""
    loose_variable: re.Pattern[str] | None = None
    """A term that looks so is a variable, and an error where no quantifier binds it."""


@dataclass(slots=True)
class Names:
    """The names of one text, each with the column where it is first used."""

    predicates: dict[tuple[str, int], int] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    variables: dict[str, int] = field(default_factory=dict)


def read(text: str, script: Script) -> tuple[Formula, Names]:
    """The formula of a text. Raises NotationError, with the column, where there is none."""
    parser = _Parser(text, script)
    return parser.whole(), parser.names


class _Parser:
    """Every method that builds returns a formula with its depth."""

    def __init__(self, text: str, script: Script) -> None:
        if len(text) > MAX_TEXT:
            raise NotationError(f"a formula has at most {MAX_TEXT} characters, got {len(text)}")
        self.names = Names()
        self._script = script
        self._scope: list[str] = []
        self._nesting = 0
        self._next = 0
        self._tokens: list[tuple[str, int]] = []
        text = text.rstrip(script.blanks)
        text = text.removesuffix(".") if script.ends_with_stop else text
        position = 0
        while position < len(text):
            if not (match := script.token.match(text, position)):
                if not (rest := text[position:].lstrip(script.blanks)):
                    break
                raise NotationError(f"no formula has {rest[:8]!r}", len(text) - len(rest) + 1)
            self._tokens.append((match[1], match.start(1) + 1))
            position = match.end()
        self._tokens.append(("", len(text) + 1))

    def whole(self) -> Formula:
        formula, _ = self._formula()
        if token := self._token():
            raise self._error(f"the formula ends before '{token}'")
        return formula

    def _token(self) -> str:
        return self._tokens[self._next][0]

    def _sign(self, ahead: int = 0) -> str:
        """The sign that a token spells; empty for a name, and at the end."""
        place = min(self._next + ahead, len(self._tokens) - 1)
        return self._script.signs.get(self._tokens[place][0], "")

    def _column(self) -> int:
        return self._tokens[self._next][1]

    def _error(self, message: str, column: int = 0) -> NotationError:
        return NotationError(message, column or self._column())

    def _take(self, wanted: str) -> None:
        if self._sign() != wanted:
            raise self._error(f"'{wanted}' expected, got '{self._token() or 'the end'}'")
        self._next += 1

    def _formula(self) -> tuple[Formula, int]:
        self._nest()
        built = self._level(0)
        self._nesting -= 1
        return built

    def _nest(self) -> None:
        """Brackets nest without making a formula deeper, so `_deeper` does not count them."""
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            raise self._error(f"a formula is at most {MAX_DEPTH} deep")

    def _level(self, level: int) -> tuple[Formula, int]:
        """A chain of the sign of a level, or what binds more tightly."""
        if level == _TIGHTEST:
            return self._operand()
        sign, kind = JOINS[level]
        left, depth = self._level(level + 1)
        while self._sign() == sign:
            self._next += 1
            if kind is Implies:
                self._nest()
                right, right_depth = self._level(level)
                self._nesting -= 1
            else:
                right, right_depth = self._level(level + 1)
            left, depth = kind(left, right), self._deeper(depth, right_depth)
        return left, depth

    def _operand(self) -> tuple[Formula, int]:
        wrappers: list[str] = []
        num_bound = len(self._scope)
        reaches = False
        while not reaches and ((sign := self._sign()) == NOT or sign in _QUANTIFIERS):
            spelled = self._token()
            self._next += 1
            wrappers.append(f"{sign} {self._variable(spelled)}" if sign in _QUANTIFIERS else NOT)
            if sign in _QUANTIFIERS and self._script.unbracketed_reach:
                reaches = self._sign() != "(" and self._sign() not in _QUANTIFIERS
        if reaches:
            formula, depth = self._formula()
        elif self._sign() == "(":
            self._next += 1
            formula, depth = self._formula()
            self._take(")")
        else:
            formula, depth = self._atom()
        for wrapper in reversed(wrappers):
            sign, _, variable = wrapper.partition(" ")
            formula = _QUANTIFIERS[sign](variable, formula) if variable else Not(formula)
            depth = self._deeper(depth)
        del self._scope[num_bound:]
        return formula, depth

    def _deeper(self, *depths: int) -> int:
        depth = max(depths) + 1
        if depth > MAX_DEPTH:
            raise self._error(f"a formula is at most {MAX_DEPTH} deep")
        return depth

    def _variable(self, quantifier: str) -> str:
        name = self._token()
        if self._sign() or not _is_small(name) or name in self._scope:
            raise self._error(f"'{quantifier}' binds a new name in small letters, got '{name or 'the end'}'")
        self.names.variables.setdefault(name, self._column())
        self._next += 1
        self._scope.append(name)
        return name

    def _atom(self) -> tuple[Formula, int]:
        name, column = self._token(), self._column()
        if self._sign(1) in (EQUAL, UNEQUAL):
            left = self._term()
            sign = self._sign()
            self._next += 1
            equal = Equals(left, self._term())
            return (equal, 1) if sign == EQUAL else (Not(equal), 2)
        # A name before a bracket is a predicate whatever its first letter, where the case does not tell.
        if self._sign() or not (name[:1].isupper() or (not self._script.by_case and self._sign(1) == "(")):
            raise self._error(f"a predicate in capitals expected, got '{name or 'the end'}'")
        if name in self._scope:
            raise self._error(f"'{name}' is a variable, and no predicate")
        self._next += 1
        args: list[str] = []
        if self._sign() == "(":
            self._next += 1
            args.append(self._term())
            while self._sign() == ",":
                self._next += 1
                args.append(self._term())
            self._take(")")
        self.names.predicates.setdefault((name, len(args)), column)
        return Atom(name, tuple(args)), 1

    def _term(self) -> str:
        name, column = self._token(), self._column()
        if self._sign() or not name or (self._script.by_case and not _is_small(name)):
            raise self._error(
                f"a constant or variable in small letters expected, got '{name or 'the end'}'"
                if self._script.by_case
                else f"a constant or variable expected, got '{name or 'the end'}'"
            )
        if name not in self._scope:
            loose = self._script.loose_variable
            if loose is not None and loose.fullmatch(name):
                raise self._error(f"no quantifier binds the variable '{name}'")
            self.names.constants.setdefault(name, column)
        self._next += 1
        return name


def _is_small(name: str) -> bool:
    return name[:1].islower()


def write(formula: Formula, signs: Mapping[str, str], *, bracket_bodies: bool = False, outer: int = 0) -> str:
    """The one text of a formula in a spelling of the signs, with only the brackets that it needs.

    `outer` is the binding strength around: looser joins get brackets. `bracket_bodies` puts what a quantifier
    governs into brackets, but another quantifier.
    """

    def inside(part: Formula, level: int) -> str:
        return write(part, signs, bracket_bodies=bracket_bodies, outer=level)

    match formula:
        case Atom(predicate, args):
            return f"{predicate}({', '.join(args)})" if args else predicate
        case Equals(left, right):
            return f"{left} {signs[EQUAL]} {right}"
        case Not(Equals(left, right)):
            return f"{left} {signs[UNEQUAL]} {right}"
        case Not(body):
            return f"{signs[NOT]}{inside(body, _TIGHTEST)}"
        case ForAll(variable, body) | Exists(variable, body):
            sign = signs[ALL if isinstance(formula, ForAll) else EXISTS]
            if bracket_bodies and not isinstance(body, ForAll | Exists):
                return f"{sign}{variable} ({inside(body, 0)})"
            return f"{sign}{variable} {inside(body, _TIGHTEST)}"
        case And(left, right) | Or(left, right) | Xor(left, right) | Implies(left, right) | Iff(left, right):
            level, sign = _LEVELS[type(formula)]
            # The side on which a join groups needs no brackets for its own kind.
            groups_right = isinstance(formula, Implies)
            text = (
                f"{inside(left, level + groups_right)} {signs[sign]} "
                f"{inside(right, level + (not groups_right))}"
            )
            return f"({text})" if outer > level else text
