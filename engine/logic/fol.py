"""First-order logic in ASCII: the notation for premises that English cannot express.

    all x (P(x) & Q(x) -> R(x))      -P(a)      Rain | -Snow -> Cold

Predicates and propositions begin with a capital, constants and variables with a small letter.
``-`` and ``all x`` bind tightest, then ``&``, then ``|``, then ``->`` (which groups to the right).
A claim may use only the names of the premises, and no name is both a variable and a constant.
"""

import re
from collections.abc import Callable, Sequence

from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, Or
from engine.logic.limits import MAX_DEPTH, MAX_TEXT
from engine.logic.notation import NotationError

QUANTIFIER = "all"
_TOKEN = re.compile(r" *(->|[-&|(),]|[A-Za-z][A-Za-z0-9_]{0,39}(?![A-Za-z0-9_]))")
_LEVEL = {Implies: 1, Or: 2, And: 3}
_SIGN = {Implies: "->", Or: "|", And: "&"}


class Fol:
    """The notation of one problem: its premises parsed, and the names that claims may use."""

    def __init__(self, premises: Sequence[str]) -> None:
        """Raises NotationError for a premise that is no formula, or that uses a name in two ways."""
        self._arity: dict[str, int] = {}
        self._constants: set[str] = set()
        self._variables: set[str] = set()
        self._is_open = True
        self.premises = tuple(self.parse(text) for text in premises)
        self._is_open = False

    def parse(self, text: str) -> Formula:
        """The formula of a text. Raises NotationError where there is none, or it is too long or too deep."""
        parser = _Parser(text)
        formula = parser.formula()
        self._admit(parser)
        return formula

    def read_claim(self, text: str) -> tuple[Formula, str]:
        """The formula of a text, and its one text. Raises NotationError as `parse` does."""
        formula = self.parse(text)
        return formula, self.show(formula)

    def show(self, formula: Formula) -> str:
        """The one text of a formula: single blanks, and only the brackets that it needs."""
        return _show(formula, 0)

    def _admit(self, parser: "_Parser") -> None:
        """Check a text's names against the problem's; premises, which are read first, add theirs."""
        if not self._is_open:
            for name in (*parser.arity, *parser.constants):
                if name not in self._arity and name not in self._constants:
                    raise NotationError(f"'{name}' is not a name of this problem")
        for name, arity in parser.arity.items():
            if self._arity.get(name, arity) != arity:
                raise NotationError(
                    f"'{name}' takes {self._arity[name]} arguments in this problem, got {arity}"
                )
        # Only this text's names are looked at: with all names of the problem, many premises would take long.
        both = {name for name in parser.constants if name in self._variables or name in parser.variables}
        both |= {name for name in parser.variables if name in self._constants}
        if both:
            raise NotationError(f"'{min(both)}' is used both as a constant and as a variable")
        if self._is_open:
            self._arity.update(parser.arity)
            self._constants |= parser.constants
            self._variables |= parser.variables


class _Parser:
    """Recursive descent over one text; every method that builds returns a formula with its depth."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise NotationError(f"a formula has at most {MAX_TEXT} characters, got {len(text)}")
        self.arity: dict[str, int] = {}
        self.constants: set[str] = set()
        self.variables: set[str] = set()
        self._scope: list[str] = []
        self._nesting = 0
        self._next = 0
        self._tokens: list[str] = []
        text, position = text.rstrip(" "), 0
        while position < len(text):
            if not (match := _TOKEN.match(text, position)):
                raise NotationError(
                    f"no formula has {text[position : position + 8]!r} at character {position + 1}"
                )
            self._tokens.append(match[1])
            position = match.end()

    def formula(self) -> Formula:
        formula, _ = self._implies()
        if self._next < len(self._tokens):
            raise NotationError(f"the formula ends before '{self._tokens[self._next]}'")
        return formula

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self, wanted: str) -> None:
        if self._peek() != wanted:
            raise NotationError(f"'{wanted}' expected, got '{self._peek() or 'the end'}'")
        self._next += 1

    def _implies(self) -> tuple[Formula, int]:
        self._nesting += 1
        # `_deeper` does not count brackets: they nest without making a formula deeper.
        if self._nesting > MAX_DEPTH:
            raise NotationError(f"a formula is at most {MAX_DEPTH} deep")
        left, depth = self._chain(Or, self._and)
        if self._peek() == "->":
            self._next += 1
            right, right_depth = self._implies()
            left, depth = Implies(left, right), _deeper(depth, right_depth)
        self._nesting -= 1
        return left, depth

    def _and(self) -> tuple[Formula, int]:
        return self._chain(And, self._unary)

    def _chain(
        self, kind: type[And] | type[Or], part: Callable[[], tuple[Formula, int]]
    ) -> tuple[Formula, int]:
        """A left-grouped chain of one connective."""
        left, depth = part()
        while self._peek() == _SIGN[kind]:
            self._next += 1
            right, right_depth = part()
            left, depth = kind(left, right), _deeper(depth, right_depth)
        return left, depth

    def _unary(self) -> tuple[Formula, int]:
        wrappers: list[str] = []
        num_bound = len(self._scope)
        while self._peek() in ("-", QUANTIFIER):
            self._next += 1
            wrappers.append(self._variable() if self._tokens[self._next - 1] == QUANTIFIER else "-")
        if self._peek() == "(":
            self._take("(")
            formula, depth = self._implies()
            self._take(")")
        else:
            formula, depth = self._atom(), 1
        for wrapper in reversed(wrappers):
            formula = Not(formula) if wrapper == "-" else ForAll(wrapper, formula)
            depth = _deeper(depth)
        del self._scope[num_bound:]
        return formula, depth

    def _variable(self) -> str:
        name = self._peek()
        if not name[:1].islower() or name == QUANTIFIER or name in self._scope:
            raise NotationError(
                f"'{QUANTIFIER}' binds a new name in small letters, got '{name or 'the end'}'"
            )
        self._next += 1
        self._scope.append(name)
        self.variables.add(name)
        return name

    def _atom(self) -> Formula:
        name = self._peek()
        if not name[:1].isupper():
            raise NotationError(f"a predicate in capitals expected, got '{name or 'the end'}'")
        self._next += 1
        args: list[str] = []
        if self._peek() == "(":
            self._take("(")
            args.append(self._term())
            while self._peek() == ",":
                self._next += 1
                args.append(self._term())
            self._take(")")
        if self.arity.setdefault(name, len(args)) != len(args):
            raise NotationError(f"'{name}' is used with {self.arity[name]} and with {len(args)} arguments")
        return Atom(name, tuple(args))

    def _term(self) -> str:
        name = self._peek()
        if not name[:1].islower() or name == QUANTIFIER:
            raise NotationError(
                f"a constant or variable in small letters expected, got '{name or 'the end'}'"
            )
        self._next += 1
        if name not in self._scope:
            self.constants.add(name)
        return name


def _deeper(*depths: int) -> int:
    depth = max(depths) + 1
    if depth > MAX_DEPTH:
        raise NotationError(f"a formula is at most {MAX_DEPTH} deep")
    return depth


def _show(formula: Formula, outer: int) -> str:
    """`outer` is the binding strength around: weaker connectives get brackets."""
    match formula:
        case Atom(predicate, args):
            return f"{predicate}({', '.join(args)})" if args else predicate
        case Not(body):
            return f"-{_show(body, 4)}"
        case ForAll(variable, body):
            return f"{QUANTIFIER} {variable} {_show(body, 4)}"
        case And(left, right) | Or(left, right) | Implies(left, right):
            level = _LEVEL[type(formula)]
            # The side on which the connective groups needs no brackets for its own kind.
            left_level, right_level = (
                (level + 1, level) if isinstance(formula, Implies) else (level, level + 1)
            )
            text = f"{_show(left, left_level)} {_SIGN[type(formula)]} {_show(right, right_level)}"
            return f"({text})" if outer > level else text
