"""What `ratchet compare` prints for people: a sentence with the verdict, and a short table."""

from engine.gate.compare import Answer, Comparison
from engine.gate.outcomes import Kind, on_one_line
from engine.terminal import counted

Row = tuple[str, str]
"""A name and what stands beside it."""
_MOST_IDS = 10
_MOST_SLICES = 20


def sentence(comparison: Comparison, answer: Answer | None = None) -> str:
    """The verdict and what it rests on, in one line; `answer` is a ledger's where it has another word."""
    begin = f"{answer or comparison.verdict}: {counts(comparison)}"
    if comparison.margin is not None:
        return f"{begin}{_drop(comparison)}"
    is_worse = comparison.verdict is Answer.WORSE
    p = f"{comparison.p_worse if is_worse else comparison.p:.2g}"
    if is_worse and comparison.num_undecided:
        p += ", with them counted for it"
    gain = "" if comparison.gain is None else f"; {_interval(comparison)}"
    text = f"{begin} (p = {p}{gain})"
    if comparison.verdict is Answer.NOT_SHOWN:
        text += f"; {_detectable(comparison)}"
    return text


def rows(comparison: Comparison, *, claims: bool = True) -> list[Row]:
    """The figures behind it; without `claims` those of no test."""
    items = str(comparison.num_items)
    if comparison.num_stories is not None:
        stories = counted(comparison.num_stories, "story")
        items += f", in {stories}, which {'is' if comparison.num_stories == 1 else 'are'} what is tested"
    measured = f"{comparison.measure}{',' if _unit(comparison) else ''}{_unit(comparison)}"
    means = " -> ".join(_mean(comparison, each) for each in (comparison.old, comparison.new))
    found = [(measured, f"{means}{' (lower is better)' if comparison.falls else ''}")]
    if comparison.filter not in ("", "none"):
        found.append(("filter", on_one_line(comparison.filter)))
    found.append(("items", items))
    if comparison.num_undecided:
        found.append(("undecided", _undecided(comparison)))
    if claims:
        found.append(("test", _test(comparison)))
        if comparison.margin is None and comparison.verdict is not Answer.NOT_SHOWN:
            found.append(("detectable", _detectable(comparison)))
        elif comparison.chance is not None and comparison.verdict is not Answer.NOT_SHOWN:
            chance = f"{comparison.chance:.0%} where nothing has changed, and as many items change sides"
            found.append(("chance to show it", chance))
    for name, ids in (("won", comparison.items_won), ("lost", comparison.items_lost)):
        found.append((f"{name} ({len(ids)})", _ids(ids)))
    for each in comparison.slices[:_MOST_SLICES]:
        found.append((f"  {each.name}", f"{each.won} won, {each.lost} lost of {each.num_items}"))
    if len(comparison.slices) > _MOST_SLICES:
        found.append(
            ("", f"and {counted(len(comparison.slices) - _MOST_SLICES, 'slice')} more: --json has all")
        )
    return found + [("note", note.replace("\n", "\\n")) for note in comparison.notes]


def layout(found: list[Row]) -> list[str]:
    """The rows of a table as lines, their texts one under the other."""
    names = [on_one_line(name) for name, _ in found]
    width = max(map(len, names))
    return [f"{name:<{width}}  {text}".rstrip() for name, (_, text) in zip(names, found, strict=True)]


def counts(comparison: Comparison) -> str:
    """How many items were won and lost, of how many, and how those count that are undecided."""
    text = f"{comparison.won} won, {comparison.lost} lost of {counted(comparison.num_items, 'item')}"
    if not comparison.num_undecided:
        return text
    return f"{text}, {comparison.num_undecided} of them undecided and counted against the new model"


def _undecided(comparison: Comparison) -> str:
    """How many results each model lacks, and what that does to the figures."""
    each = " -> ".join(map(str, comparison.undecided))
    if comparison.kind is Kind.PASS:
        return f"{each}, not passed in these shares; the test and the gain count them against the new model"
    return f"{each}, left out of these means and the gain; the test counts them against the new model"


def _interval(comparison: Comparison) -> str:
    gain, low, high = comparison.gain or 0.0, comparison.low, comparison.high
    in_points = comparison.kind is Kind.PASS
    text = f"{100 * gain:+.1f} points" if in_points else f"{gain:+.4g}{_unit(comparison)}"
    if in_points and comparison.num_undecided:
        text = f"at least {text}"
    if low is None or high is None:
        return text
    between = f"{100 * low:.1f} to {100 * high:.1f}" if in_points else f"{low:.4g} to {high:.4g}"
    # Named, because a ledger's test has a level of its own.
    return f"{text}, {comparison.confidence:.0%} interval {between}"


def _unit(comparison: Comparison) -> str:
    if comparison.kind is not Kind.LIKELIHOOD:
        return ""
    return f" nats {'a ' + comparison.unit if comparison.unit else 'an item'}"


def _amount(comparison: Comparison, value: float) -> str:
    if comparison.kind is Kind.PASS:
        return f"{100 * value:.1f} points"
    return f"{value:.4g}{_unit(comparison)}"


def _mean(comparison: Comparison, value: float | None) -> str:
    if value is None:
        return "undecided"
    return f"{value:.1%}" if comparison.kind is Kind.PASS else f"{value:.4g}"


def _drop(comparison: Comparison) -> str:
    assert comparison.bound is not None and comparison.margin is not None
    sure = f"{1 - comparison.level:.4%}".rstrip("%").rstrip("0").rstrip(".")
    bound, margin = _amount(comparison, comparison.bound), _amount(comparison, comparison.margin)
    what = f"a drop of less than {bound}"
    if comparison.bound < 0:
        what = f"a gain of more than {_amount(comparison, -comparison.bound)}"
    text = f"; {what} ({sure} % sure), margin {margin}"
    if comparison.verdict is Answer.NO_WORSE or comparison.chance is None:
        return text
    return f"{text}; where nothing has changed the chance to show it is {comparison.chance:.0%}"


def _test(comparison: Comparison) -> str:
    clustered = comparison.num_stories is not None
    if comparison.margin is not None:
        bound = "score interval" if comparison.kind is Kind.PASS else "bootstrap interval"
        return (
            f"{bound} of the drop{' by story' if clustered else ''}, one-sided, level {comparison.level:.4g}"
        )
    name = "exact sign-flip test by story" if clustered else "exact sign test (McNemar)"
    return f"{name}, one-sided, level {comparison.level:.4g}{' each way' if comparison.both_ways else ''}"


def _detectable(comparison: Comparison) -> str:
    if comparison.detectable is None:
        return "too few items differ to show any gain with 80 % power"
    what = f"a gain of {100 * comparison.detectable:.1f} points"
    if comparison.kind is not Kind.PASS:
        what = f"winning {comparison.detectable:.0%} of the items that differ"
    return f"{what} would have been detected with 80 % power"


def _ids(ids: tuple[str, ...]) -> str:
    shown = ", ".join(map(on_one_line, ids[:_MOST_IDS]))
    return f"{shown}, …" if len(ids) > _MOST_IDS else shown
