"""Questions answered by a sampler and the limited processes of the checkers, several at a time."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from configs.schema import Verify
from engine.prove.search import VERIFIER, Budget, Search
from engine.sample.protocol import Request, Sampler
from engine.terminal import progress
from engine.verify.pool import VerifierPool


@contextmanager
def checkers(searches: Sequence[Search], limits: Verify) -> Iterator[VerifierPool]:
    """The checkers, within limits, after they have found the problems of which no proof would say anything.

    That is before a model is asked. Raises engine.verify.pool.VerifierError where they cannot be started.
    """
    with VerifierPool(
        VERIFIER, num_processes=limits.num_processes, seconds=limits.seconds, memory_mib=limits.memory_mib
    ) as pool:
        verdicts = pool.verify((search.problem, search.begin()) for search in searches)
        for search, verdict in zip(searches, verdicts, strict=True):
            search.judge(verdict)
        yield pool


def answer(
    searches: Sequence[Search],
    sampler: Sampler,
    model: Path,
    pool: VerifierPool,
    budget: Budget,
    max_new_tokens: int,
    judged: Callable[[], None] = lambda: None,
) -> None:
    """Draw replies to all open searches, round by round, until each has one that passes, or the budget ends.

    `judged` is called after verdicts. Raises engine.sample.protocol.SamplerError.
    """
    named = {search.problem.id: search for search in searches}
    ends = None if budget.seconds is None else time.monotonic() + budget.seconds
    most = budget.samples * sum(search.is_open for search in searches)
    drawn, is_late = 0, False
    with progress("replies", most) as advance:
        for sampling in budget.rounds(max_new_tokens):
            waiting = [search for search in searches if search.is_open]
            if not waiting or is_late:
                break
            requests = [Request(problem_id=each.problem.id, messages=each.chat) for each in waiting]
            for attempt in sampler.sample(model, requests, sampling):
                drawn += 1
                advance(drawn)
                search = named[attempt.problem_id]
                if new := search.add(attempt):
                    pool.submit(search.problem, new)
                for verdict in pool.poll():
                    named[verdict.problem_id].judge(verdict)
                    judged()
                is_late = ends is not None and time.monotonic() > ends
                if is_late or not any(each.is_open for each in waiting):
                    break
            for verdict in pool.drain():
                named[verdict.problem_id].judge(verdict)
            judged()
    if is_late:
        for search in searches:
            search.give_up(f"{budget.seconds:g} seconds are over")
