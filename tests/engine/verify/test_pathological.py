"""Formulas that are huge, deep or undecidable in practice end within their limits, and the pool goes on."""

import time
from collections.abc import Iterator

import pytest

from engine.records import Attempt, Problem, Status
from engine.verify.pool import VerifierPool
from tests.support.proof_helpers import attempt, problem

pytestmark = pytest.mark.slow

ENDLESS = (
    "all x exists y R(x, y)",
    "all x -R(x, x)",
    "all x all y all z (R(x, y) & R(y, z) -> R(x, z))",
)
WIDE = " & ".join(f"all x{i} (P{i}(x{i}) -> exists y{i} S(x{i}, y{i}))" for i in range(16))
NESTED = " ".join(f"{('all', 'exists')[i % 2]} x{i}" for i in range(16))
MANY = ", ".join(f"x{i}" for i in range(16))


def unknown(*premises: str, question: str = "Q(b)", gold: str = "Unknown") -> tuple[Problem, Attempt]:
    return problem(premises, question, gold, notation="first_order"), attempt("Answer: Unknown")


GOOD = (
    problem(["all x (P(x) -> Q(x))", "P(a)"], "Q(a)", notation="first_order"),
    attempt("Q(a) [1 2 mp] [3]\nAnswer: True"),
)


FOUR_HUNDRED = (f"all x all y all z (R(x, y) & R(y, z) -> R(x, n{i}))" for i in range(400))
BAD = {
    "endless": (unknown(*ENDLESS), Status.UNDECIDED),
    "endless line": (
        (
            problem([*ENDLESS, "P(a)"], "Q(b)", notation="first_order"),
            attempt("Q(b) [1 2 3 4 hs] [5]\nAnswer: True"),
        ),
        Status.UNDECIDED,
    ),
    "negations": (unknown("-" * 500 + "Q(b)"), Status.UNDECIDED),
    "brackets": (unknown("(" * 500 + "Q(b)" + ")" * 500), Status.FAIL),
    "long": (unknown(f"all x ({'Q(x) & ' * 400}Q(x))"), Status.UNDECIDED),
    "nested": (
        unknown(f"{NESTED} T({MANY})", f"{NESTED} -T({MANY})", "exists x exists y x != y"),
        Status.PASS,
    ),
    "wide": (unknown(*([WIDE] * 40), *ENDLESS), Status.UNDECIDED),
    "many names": (unknown(*FOUR_HUNDRED, *ENDLESS), Status.UNDECIDED),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool("z3", num_processes=1, seconds=10, memory_mib=1024) as made:
        yield made


@pytest.mark.parametrize("name", BAD)
def test_a_pathological_formula_ends_within_its_limits_and_the_pool_goes_on(
    pool: VerifierPool, name: str
) -> None:
    """Brackets mean nothing, and what is nested has a small model: these two are decided."""
    bad, expected = BAD[name]
    began = time.monotonic()
    verdicts = pool.verify([GOOD, bad, GOOD])
    assert time.monotonic() - began < 60
    assert [verdict.status for verdict in verdicts] == [Status.PASS, expected, Status.PASS]
    assert verdicts[1].reason or expected is Status.PASS
