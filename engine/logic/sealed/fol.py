"""First-order formulas in ASCII, read by an operator-precedence parser: two stacks and a table."""

from collections.abc import Iterator, Sequence
from string import ascii_letters, ascii_uppercase, digits

from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, Or
from engine.logic.limits import MAX_DEPTH
from engine.logic.sealed import Unreadable

_BINDS = {"->": 1, "|": 2, "&": 3}
_KIND: dict[str, type[And] | type[Or] | type[Implies]] = {"->": Implies, "|": Or, "&": And}
_LEVEL: dict[type, int] = {kind: _BINDS[sign] for sign, kind in _KIND.items()}
_START, _PART = set(ascii_letters), set(ascii_letters + digits + "_")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        size = 1
        if text[at] in _START:
            while at + size < len(text) and text[at + size] in _PART:
                size += 1
            if size > 40:
                raise Unreadable("a name is too long")
        elif text.startswith("->", at):
            size = 2
        elif text[at] not in " -&|(),":
            raise Unreadable(f"no formula has {text[at]!r}")
        if text[at] != " ":
            yield text[at : at + size]
        at += size


class _Stacks:
    """Formulas with their depths, and the operators that wait for them."""

    def __init__(self) -> None:
        self.formulas: list[tuple[Formula, int]] = []
        self.waiting: list[str] = []

    def reduce_while(self, least: int) -> None:
        """Apply waiting operators that bind at least so tightly; negation and quantifiers bind tightest."""
        while self.waiting and self.waiting[-1] != "(" and _BINDS.get(self.waiting[-1], 4) >= least:
            operator = self.waiting.pop()
            right, depth = self.formulas.pop()
            formula: Formula
            if operator in _KIND:
                left, other = self.formulas.pop()
                formula, depth = _KIND[operator](left, right), max(depth, other)
            else:
                formula = Not(right) if operator == "-" else ForAll(operator.removeprefix("all "), right)
            if depth >= MAX_DEPTH:
                raise Unreadable("the formula is too deep")
            self.formulas.append((formula, depth + 1))


def read_fol(text: str) -> Formula:
    tokens, stacks, at = list(_tokens(text)), _Stacks(), 0
    wants_operand = True
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if wants_operand and token in ("-", "("):
            stacks.waiting.append(token)
        elif wants_operand and token == "all":
            name = tokens[at] if at < len(tokens) else ""
            if not _is_small_name(name):
                raise Unreadable("a quantifier binds a small name")
            stacks.waiting.append(f"all {name}")
            at += 1
        elif wants_operand and token[0] in ascii_uppercase:
            args, at = _read_args(tokens, at)
            stacks.formulas.append((Atom(token, args), 1))
            wants_operand = False
        elif not wants_operand and token == ")":
            stacks.reduce_while(1)
            if not stacks.waiting:
                raise Unreadable("a bracket was never opened")
            stacks.waiting.pop()
        elif not wants_operand and token in _BINDS:
            # `->` groups to the right: only operators that bind more tightly are applied before it.
            stacks.reduce_while(2 if token == "->" else _BINDS[token])
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


def _is_small_name(token: str) -> bool:
    return token[:1].islower() and token != "all"


def _read_args(tokens: Sequence[str], at: int) -> tuple[tuple[str, ...], int]:
    if tokens[at : at + 1] != ["("]:
        return (), at
    args: list[str] = []
    while tokens[at : at + 1] in (["("], [","]) and (tokens[at] == "(") == (not args):
        name = tokens[at + 1] if at + 1 < len(tokens) else ""
        if not _is_small_name(name):
            raise Unreadable("an argument is a small name")
        args.append(name)
        at += 2
    if tokens[at : at + 1] != [")"]:
        raise Unreadable("the arguments are not closed")
    return tuple(args), at + 1


def _check_names(formula: Formula, bound: tuple[str, ...]) -> None:
    """Raises Unreadable where a variable is bound again inside its own scope."""
    if isinstance(formula, ForAll):
        if formula.variable in bound:
            raise Unreadable(f"'{formula.variable}' is bound twice")
        _check_names(formula.body, (*bound, formula.variable))
    elif isinstance(formula, Not):
        _check_names(formula.body, bound)
    elif not isinstance(formula, Atom):
        _check_names(formula.left, bound)
        _check_names(formula.right, bound)


def write_fol(formula: Formula) -> str:
    if isinstance(formula, Atom):
        return formula.predicate + (f"({', '.join(formula.args)})" if formula.args else "")
    if isinstance(formula, Not | ForAll):
        sign = "-" if isinstance(formula, Not) else f"all {formula.variable} "
        return sign + _bracketed(formula.body, 4)
    sign = next(sign for sign, kind in _KIND.items() if isinstance(formula, kind))
    level = _BINDS[sign]
    right_grouping = sign == "->"
    left = _bracketed(formula.left, level + right_grouping)
    return f"{left} {sign} {_bracketed(formula.right, level + (not right_grouping))}"


def _bracketed(formula: Formula, least: int) -> str:
    """The text of a formula, in brackets where it binds less tightly than `least`."""
    text = write_fol(formula)
    return f"({text})" if _LEVEL.get(type(formula), 4) < least else text
