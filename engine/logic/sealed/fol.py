"""First-order formulas in ASCII, read by an operator-precedence parser: two stacks and a table.

The notation `fol` has rules about all things; `first_order` has some things, equality and more connectives.
"""

from collections.abc import Iterator, Sequence
from string import ascii_letters, ascii_uppercase, digits

from engine.logic.formulas import And, Atom, Equals, Exists, ForAll, Formula, Iff, Implies, Not, Or, Xor
from engine.logic.limits import MAX_DEPTH
from engine.logic.sealed import Unreadable

_KIND: dict[str, type[And | Or | Xor | Implies | Iff]] = {
    "<->": Iff,
    "->": Implies,
    "xor": Xor,
    "|": Or,
    "&": And,
}
_BINDS = {sign: level for level, sign in enumerate(_KIND, start=1)}
_LEVEL: dict[type, int] = {kind: _BINDS[sign] for sign, kind in _KIND.items()}
_PREFIX = len(_KIND) + 1
"""How tightly negation and quantifiers bind."""
_START, _PART = set(ascii_letters), set(ascii_letters + digits + "_")
_LONG_SIGNS = {False: ("->",), True: ("<->", "->", "!=")}
_SHORT_SIGNS = {False: " -&|(),", True: " -&|(),="}
_WORDS = {False: ("all",), True: ("all", "exists", "xor")}
"""By whether the notation is `first_order`."""


def _tokens(text: str, is_full: bool) -> Iterator[str]:
    at = 0
    while at < len(text):
        size = 1
        if text[at] in _START:
            while at + size < len(text) and text[at + size] in _PART:
                size += 1
            if size > 40:
                raise Unreadable("a name is too long")
        elif sign := next((sign for sign in _LONG_SIGNS[is_full] if text.startswith(sign, at)), ""):
            size = len(sign)
        elif text[at] not in _SHORT_SIGNS[is_full]:
            raise Unreadable(f"no formula has {text[at]!r}")
        if text[at] != " ":
            yield text[at : at + size]
        at += size


class _Stacks:
    """Formulas with their depths, and the operators that wait for them."""

    def __init__(self) -> None:
        self.formulas: list[tuple[Formula, int]] = []
        self.waiting: list[str] = []

    def push(self, formula: Formula, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Unreadable("the formula is too deep")
        self.formulas.append((formula, depth))

    def reduce_while(self, least: int) -> None:
        """Apply waiting operators that bind at least so tightly; negation and quantifiers bind tightest."""
        while self.waiting and self.waiting[-1] != "(" and _BINDS.get(self.waiting[-1], _PREFIX) >= least:
            operator = self.waiting.pop()
            right, depth = self.formulas.pop()
            formula: Formula
            if operator in _KIND:
                left, other = self.formulas.pop()
                formula, depth = _KIND[operator](left, right), max(depth, other)
            elif operator == "-":
                formula = Not(right)
            else:
                quantifier, variable = operator.split(" ")
                formula = (ForAll if quantifier == "all" else Exists)(variable, right)
            self.push(formula, depth + 1)


class FormulaReader:
    """Reads formulas of `fol`, or of `first_order` where `is_full`."""

    def __init__(self, is_full: bool) -> None:
        self._is_full = is_full

    def read(self, text: str) -> Formula:
        """Raises Unreadable."""
        tokens, stacks, at = list(_tokens(text, self._is_full)), _Stacks(), 0
        wants_operand = True
        while at < len(tokens):
            token = tokens[at]
            at += 1
            if wants_operand and token in ("-", "("):
                stacks.waiting.append(token)
            elif wants_operand and token in _WORDS[self._is_full] and token != "xor":
                name = tokens[at] if at < len(tokens) else ""
                if not self._is_small_name(name):
                    raise Unreadable("a quantifier binds a small name")
                stacks.waiting.append(f"{token} {name}")
                at += 1
            elif wants_operand and token[0] in ascii_uppercase:
                args, at = self._read_args(tokens, at)
                stacks.push(Atom(token, args), 1)
                wants_operand = False
            elif wants_operand and tokens[at : at + 1] in (["="], ["!="]):
                other = tokens[at + 1] if at + 1 < len(tokens) else ""
                if not (self._is_small_name(token) and self._is_small_name(other)):
                    raise Unreadable("small names are equal, or not")
                equal = Equals(token, other)
                stacks.push(*((equal, 1) if tokens[at] == "=" else (Not(equal), 2)))
                at += 2
                wants_operand = False
            elif not wants_operand and token == ")":
                stacks.reduce_while(1)
                if not stacks.waiting:
                    raise Unreadable("a bracket was never opened")
                stacks.waiting.pop()
            elif not wants_operand and token in _BINDS and (token != "xor" or self._is_full):
                # `->` groups to the right: only operators that bind more tightly are applied before it.
                stacks.reduce_while(_BINDS[token] + (token == "->"))
                stacks.waiting.append(token)
                wants_operand = True
            else:
                raise Unreadable(f"'{token}' stands in the wrong place")
        if wants_operand:
            raise Unreadable("the formula is not finished")
        stacks.reduce_while(1)
        if stacks.waiting:
            raise Unreadable("a bracket is not closed")
        formula = stacks.formulas.pop()[0]
        _check_names(formula, ())
        return formula

    def _is_small_name(self, token: str) -> bool:
        return token[:1].islower() and token not in _WORDS[self._is_full]

    def _read_args(self, tokens: Sequence[str], at: int) -> tuple[tuple[str, ...], int]:
        if tokens[at : at + 1] != ["("]:
            return (), at
        args: list[str] = []
        while tokens[at : at + 1] in (["("], [","]) and (tokens[at] == "(") == (not args):
            name = tokens[at + 1] if at + 1 < len(tokens) else ""
            if not self._is_small_name(name):
                raise Unreadable("an argument is a small name")
            args.append(name)
            at += 2
        if tokens[at : at + 1] != [")"]:
            raise Unreadable("the arguments are not closed")
        return tuple(args), at + 1


def _check_names(formula: Formula, bound: tuple[str, ...]) -> None:
    """Raises Unreadable where a variable is bound again inside its own scope."""
    if isinstance(formula, ForAll | Exists):
        if formula.variable in bound:
            raise Unreadable(f"'{formula.variable}' is bound twice")
        _check_names(formula.body, (*bound, formula.variable))
    elif isinstance(formula, Not):
        _check_names(formula.body, bound)
    elif not isinstance(formula, Atom | Equals):
        _check_names(formula.left, bound)
        _check_names(formula.right, bound)


def write_fol(formula: Formula) -> str:
    if isinstance(formula, Atom):
        return formula.predicate + (f"({', '.join(formula.args)})" if formula.args else "")
    if isinstance(formula, Equals):
        return f"{formula.left} = {formula.right}"
    if isinstance(formula, Not) and isinstance(formula.body, Equals):
        return f"{formula.body.left} != {formula.body.right}"
    if isinstance(formula, Not):
        return "-" + _bracketed(formula.body, _PREFIX)
    if isinstance(formula, ForAll | Exists):
        word = "all" if isinstance(formula, ForAll) else "exists"
        return f"{word} {formula.variable} {_bracketed(formula.body, _PREFIX)}"
    sign = next(sign for sign, kind in _KIND.items() if isinstance(formula, kind))
    level = _BINDS[sign]
    right_grouping = sign == "->"
    left = _bracketed(formula.left, level + right_grouping)
    return f"{left} {sign} {_bracketed(formula.right, level + (not right_grouping))}"


def _bracketed(formula: Formula, least: int) -> str:
    """The text of a formula, in brackets where it binds less tightly than `least`."""
    text = write_fol(formula)
    return f"({text})" if _LEVEL.get(type(formula), _PREFIX) < least else text
