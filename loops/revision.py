"""Self-critique in an error-driven round: failed answers are revised, told what is wrong, or nothing.

Their difference is paired, because both ways to ask revise the same answers.
"""

from collections.abc import Sequence

from configs.loop_parts import Critique
from engine.curate.candidates import Candidate
from engine.curate.critique import asked_again, failures_among, mended, stations_of
from engine.measure.evaluate import answer
from engine.measure.stats import sign_test
from engine.models.prompts import messages
from engine.records import Answer, Panel, Problem, Station, Status
from loops.aim import Aim


def revised(
    aim: Aim, settings: Critique, problems: Sequence[Problem], answers: Sequence[Answer]
) -> tuple[list[Candidate], list[Station], tuple[Panel, ...]]:
    """The revisions that passed, their stations, and how many failures each way to ask has mended."""
    context = aim.context
    failures = failures_among(problems, answers)
    system = context.bench.system
    asked = [
        failure for failure in failures if aim.fits(messages(system, asked_again(failure, told=True).turns))
    ][: settings.num_failures]

    def revise(told: bool) -> list[Answer]:
        again = [asked_again(failure, told=told) for failure in asked]
        return context.run.step_many(
            aim.stage("revise" if told else "revise-untold"),
            Answer,
            lambda: answer(context.bench, aim.parent.path, again, aim.sampling(1)),
            doing=f"It revises {len(asked)} failed answers, told {'what is wrong' if told else 'nothing'}",
        )

    told = revise(True)
    untold = revise(False) if settings.control else None
    passed = mended(asked, told, context.suite.task.target)
    return passed, stations_of(len(failures), len(asked), len(passed)), (panel_of(told, untold),)


def panel_of(told: Sequence[Answer], untold: Sequence[Answer] | None) -> Panel:
    """How many failures the model mends when it is told the reason, and when it is told nothing."""
    rows = [("told", "failed answers", "mended", "share")]
    for what, revisions in (("wrong, and why", told), ("nothing", untold)):
        if revisions is not None:
            num = sum(map(_is_mended, revisions))
            share = f"{num / len(revisions):.1%}" if revisions else ""
            rows.append((what, str(len(revisions)), str(num), share))
    note = (
        "Failed answers that the model mends when it sees them again. What it mends when it is told that "
        "they are wrong and why, it learns."
    )
    if told and untold:
        note = f"{note} {_difference(list(map(_is_mended, told)), list(map(_is_mended, untold)))}"
    return Panel(title="Self-critique", kind="table", rows=tuple(rows), note=note)


def _is_mended(revision: Answer) -> bool:
    return revision.verdict.status is Status.PASS


def _difference(told: Sequence[bool], untold: Sequence[bool]) -> str:
    """What being told was worth, on the pairs of revisions of each answer."""
    from engine.measure.paired import paired_drop_bound  # with numpy, for which `ratchet plan` does not wait

    pairs = list(zip(told, untold, strict=True))
    num, won, lost = len(pairs), pairs.count((True, False)), pairs.count((False, True))
    low, high = -paired_drop_bound(lost, won, num, 0.025), paired_drop_bound(won, lost, num, 0.025)
    return (
        f"{won} were mended only when told, {lost} only when not: a difference of {(won - lost) / num:+.1%}, "
        f"95 % interval {low:+.1%} to {high:+.1%}, one-sided exact sign test p = {sign_test(won, lost):.2g}."
    )
