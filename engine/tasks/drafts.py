"""Proofs in the making: lines that cite each other as objects, and get their numbers at the end.

`settle` proves or refutes what joins statements that are known, by introduction rules.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine.logic.first_order.notation import FirstOrder, show
from engine.logic.formulas import And, Formula, Iff, Implies, Not, Or, Xor, negate
from engine.logic.proof_check import check_proof, first_fault, unsettled
from engine.logic.proofs import read_completion, write_completion

Row = tuple[int, Formula, str, tuple[int, ...]]
"""A numbered line: number, claim, rule and the numbers of the lines that it cites."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A premise or a proof line. Two with one claim are still two."""

    claim: Formula
    rule: str = ""
    """Empty for a premise."""
    cited: tuple["Item", ...] = ()


@dataclass(slots=True)
class Draft:
    """The lines of one proof in the order in which they are drawn."""

    lines: list[Item] = field(default_factory=list)

    def line(self, claim: Formula, rule: str, *cited: Item) -> Item:
        item = Item(claim, rule, cited)
        self.lines.append(item)
        return item

    def assume(self, claim: Formula) -> Item:
        return self.line(claim, "assume")

    def numbered(self, premises: Sequence[Item], *wanted: Item) -> list[Row]:
        """The lines that the wanted ones need, where the premises are 1 to n."""
        needed = set(_needed(wanted))
        numbers = {premise: number for number, premise in enumerate(premises, 1)}
        rows: list[Row] = []
        for item in self.lines:
            if item in needed:
                numbers[item] = len(numbers) + 1
                rows.append(
                    (numbers[item], item.claim, item.rule, tuple(numbers[each] for each in item.cited))
                )
        return rows


def _needed(wanted: Sequence[Item]) -> Iterator[Item]:
    waiting, seen = list(wanted), set[Item]()
    while waiting:
        item = waiting.pop()
        if item not in seen:
            seen.add(item)
            yield item
            waiting += item.cited


def completion_of(premises: Sequence[Formula], asked: Formula, lines: Sequence[Row], answer: str) -> str:
    """A completion whose every line the rules accept; empty where they refuse one, as a claim made twice."""
    text = write_completion(
        [(number, show(claim), rule, cited) for number, claim, rule, cited in lines], answer
    )
    notation = FirstOrder([show(premise) for premise in premises])
    question, completion = notation.read_question(show(asked)), read_completion(text)
    _, _, checked = check_proof(notation, completion)
    wrong = first_fault(completion, checked)[2] or unsettled(answer, question, notation, checked)
    return "" if wrong else text


def settle(draft: Draft, asked: Formula, known: Mapping[Formula, Item]) -> tuple[bool, Item]:
    """Prove what is asked, or its opposite, from known statements; with the line that shows it.

    Raises KeyError where a part that joins nothing is not known, nor its opposite, and for a condition both
    sides of which hold: no rule gives it without assuming what is known already.
    """
    if asked in known:
        return True, known[asked]
    if negate(asked) in known:
        return False, known[negate(asked)]
    match asked:
        case Not(body):
            holds, item = settle(draft, body, known)
            return not holds, item
        case And(left, right) | Or(left, right) | Implies(left, right) | Xor(left, right) | Iff(left, right):
            first, second = settle(draft, left, known), settle(draft, right, known)
            return _join(draft, asked, first, second)
    raise KeyError(asked)


Settled = tuple[bool, Item]


def _join(draft: Draft, asked: Formula, first: Settled, second: Settled) -> Settled:
    (is_left, left), (is_right, right) = first, second
    match asked:
        case And():
            if is_left and is_right:
                return True, draft.line(asked, "and_i", left, right)
            denied = Or(negate(asked.left), negate(asked.right))
            either = draft.line(denied, "or_i", right if is_left else left)
            return False, draft.line(Not(asked), "dm", either)
        case Or():
            if is_left or is_right:
                return True, draft.line(asked, "or_i", left if is_left else right)
            both = draft.line(And(left.claim, right.claim), "and_i", left, right)
            return False, draft.line(Not(asked), "dm", both)
        case Implies():
            return _condition(draft, asked, first, second)
        case Xor():
            if is_left != is_right:
                return True, draft.line(asked, "xor_i", left, right)
            assumed = draft.assume(asked)
            other = draft.line(negate(right.claim), "xor_e", assumed, left)
            return False, draft.line(Not(asked), "raa", assumed, right, other)
        case Iff():
            if is_left == is_right:
                there = _condition(draft, Implies(asked.left, asked.right), first, second)[1]
                back = _condition(draft, Implies(asked.right, asked.left), second, first)[1]
                return True, draft.line(asked, "iff_i", there, back)
            assumed = draft.assume(asked)
            sides = (asked.left, asked.right) if is_left else (asked.right, asked.left)
            rule = draft.line(Implies(*sides), "iff_e", assumed)
            holds, fails = (left, right) if is_left else (right, left)
            other = draft.line(sides[1], "mp", rule, holds)
            return False, draft.line(Not(asked), "raa", assumed, other, fails)
    raise AssertionError(asked)


def _condition(draft: Draft, asked: Implies, first: Settled, second: Settled) -> Settled:
    (is_left, left), (is_right, right) = first, second
    if is_left and is_right:
        raise KeyError(asked)
    if is_right:
        return True, draft.line(asked, "cp", draft.assume(asked.left), right)
    if is_left:
        assumed = draft.assume(asked)
        other = draft.line(asked.right, "mp", assumed, left)
        return False, draft.line(Not(asked), "raa", assumed, other, right)
    either = draft.line(Or(negate(asked.left), asked.right), "or_i", left)
    assumed = draft.assume(asked.left)
    return True, draft.line(asked, "cp", assumed, draft.line(asked.right, "ds", either, assumed))
