"""What the report shows of a round's predictor: figures with intervals, and the reliability diagram."""

from collections.abc import Iterator

from engine.records import Calibration, Estimate, Foresight, Panel

_TITLE = "Step-success predictor q̂"


def panels_of(found: Foresight, use: str) -> tuple[Panel, ...]:
    """The table and the diagram; `use` says in a sentence what the predictor was used for."""
    if found.missing:
        text = f"There is none: {found.missing}. {use}"
        return (Panel(title=_TITLE, kind="text", rows=((text,),)),)
    head = ("predictor", "Brier score", "calibration error", "Brier score less q̂'s")
    beaten = ("", *map(_shown, found.advantages))
    rows = [
        (each.name, _shown(each.brier), _shown(each.ece), more)
        for each, more in zip(found.scores, beaten, strict=True)
    ]
    of = f"{found.num_steps:,} lines about {found.num_groups:,} problems"
    return (
        Panel(
            title=_TITLE,
            kind="table",
            rows=(head, *rows),
            note="Chances that a line is valid, given before it is checked, on problems that were held out: "
            f"{of}, {100 * found.num_valid / found.num_steps:.1f} % of them valid. Less is better; 95 % "
            f"intervals over problems. {_replies(found)}{use}",
        ),
        Panel(
            title="Reliability: how many lines are valid of those that are given a chance",
            kind="reliability",
            rows=tuple(row for each in found.scores for row in _bins(each)),
            note="On the diagonal a chance says what comes true. Bars are 95 % intervals as if lines were "
            "independent.",
        ),
    )


def _replies(found: Foresight) -> str:
    """How much the chances of lines add to what the verdicts on replies say of a further reply."""
    if found.further is None:
        return ""
    return (
        "Whether a further reply to a problem passes is foreseen from those before it: with the chances of "
        f"their lines the Brier score is {_shown(found.further)} lower than with their verdicts alone. "
    )


def _shown(figure: Estimate) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _bins(given: Calibration) -> Iterator[tuple[str, str, str]]:
    for each in given.bins:
        yield given.name, f"{each.predicted:.4f}", f"{each.num_valid}/{each.num}"
