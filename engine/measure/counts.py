"""Answers become figures: shares and ratios of verdicts, and what several samples of a problem say."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.measure import diversity
from engine.measure.stats import interval
from engine.records import Answer, Figure, Interval, Problem, Status, Verdict
from engine.tasks.suite import Ratio, Share


def figures_of(
    figures: Sequence[Share | Ratio], verdicts: Sequence[Verdict], asked: Mapping[str, Problem]
) -> Iterator[Figure]:
    """A task's own figures of some verdicts, without those for which none of the problems counts.

    `asked` holds the problems by their ids.
    """
    for figure in figures:
        among = figure.among
        counted = [each for each in verdicts if among is None or among(asked[each.problem_id])]
        if counted:
            yield _figure(figure, counted, [asked[each.problem_id] for each in counted])


def _figure(figure: Share | Ratio, verdicts: Sequence[Verdict], problems: Sequence[Problem]) -> Figure:
    value: Interval | float
    if isinstance(figure, Share):
        value = share_of(map(figure.holds, verdicts), problems)
    else:
        parts = [figure.parts(verdict) for verdict in verdicts]
        whole = sum(denominator for _, denominator in parts)
        value = sum(numerator for numerator, _ in parts) / whole if whole else 0.0
    return Figure(key=figure.key, title=figure.title, value=value, note=figure.note)


def of_samples(groups: Sequence[Sequence[Answer]], problems: Sequence[Problem], k: int) -> tuple[Figure, ...]:
    """Figures of several samples a problem: a group of answers for each."""
    passed = share_of(
        (any(each.verdict.status is Status.PASS for each in group) for group in groups), problems
    )
    majority = share_of(map(_majority_right, groups), problems)
    return (
        Figure(
            key="pass_at_k",
            title=f"any of {k} samples passes",
            value=passed,
            note=f"Problems of which at least one of {k} samples passes.",
        ),
        Figure(
            key="majority",
            title="most frequent answer right",
            value=majority,
            note=f"Problems whose most frequent answer among {k} samples is right (self-consistency).",
        ),
    )


def of_texts(groups: Sequence[Sequence[Answer]], k: int) -> tuple[Figure, ...]:
    """Figures of the texts themselves, whatever they are worth; of several samples also how varied."""
    texts = [text for group in groups for each in group for text in each.attempt.replies]
    num = sum(len(group) for group in groups)
    distinct = sum(len({each.attempt.replies for each in group}) for group in groups)
    tokens = sum(each.attempt.num_tokens for group in groups for each in group)
    return (
        Figure(key="distinct", title="distinct completions a problem", value=distinct / len(groups), unit=""),
        Figure(key="tokens", title="tokens, mean", value=tokens / num, unit="tokens"),
        *(diversity.figures_of(texts) if k > 1 else ()),
    )


def share_of(outcomes: Iterable[bool], problems: Sequence[Problem]) -> Interval:
    """The share of outcomes that are true, one for each of `problems`.

    Answers to problems of one story are not independent, so the interval is wider where stories repeat.
    """
    from engine.measure.paired import design_effect  # with numpy, which `ratchet doctor` does not wait for

    values = list(outcomes)
    clusters = [each.story or f"alone {place}" for place, each in enumerate(problems)]
    effect = design_effect(values, clusters) if values else 1.0
    return interval(sum(values), len(values), effect)


def _majority_right(group: Sequence[Answer]) -> bool:
    """Self-consistency: whether the most frequent answer is right; the first seen wins a tie."""
    votes = Counter(answer.verdict.answer for answer in group if answer.verdict.answer)
    if not votes:
        return False
    top = votes.most_common(1)[0][0]
    return any(answer.verdict.right for answer in group if answer.verdict.answer == top)
