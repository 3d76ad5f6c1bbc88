"""`ratchet rate`: two models' replies, compared by people who do not learn whose they are.

ratchet rate export old.jsonl new.jsonl --out page.html
ratchet rate import page.key ratings-*.json
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.terminal import AsJson, counted, printable, show

if TYPE_CHECKING:
    from engine.gate.compare_text import Row
    from engine.judge.looks import Spent
    from engine.judge.ratings import Rated

app = typer.Typer(help="Blind rating of two models by people.", no_args_is_help=True)


@app.command("export")
def export(
    old: Annotated[Path, typer.Argument(help="Replies of the model there is, as `ratchet eval --out` has.")],
    new: Annotated[Path, typer.Argument(help="Replies of the new model to the same requests.")],
    out: Annotated[Path, typer.Option(help="The page to write; its key is written beside it.")] = Path(
        "rating.html"
    ),
    num: Annotated[int | None, typer.Option(min=1, help="Pairs, drawn at random; by default all.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Pins order and sides, for tests.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one page on which people say which of two replies is better, without seeing whose they are."""
    from engine.judge.rating import export_page

    exported = export_page(old, new, out, num=num, seed=seed)
    if as_json:
        show(exported._asdict(), as_json)
        return
    same = f"; {counted(exported.num_same, 'pair')} with equal replies count as ties" * bool(
        exported.num_same
    )
    print(printable(f"{exported.page} asks about {counted(exported.num_shown, 'pair')}{same}"))
    print(printable(f"give raters the page, and keep {exported.key}: it says whose replies are whose"))


@app.command("import")
def import_ratings(
    key: Annotated[Path, typer.Argument(help="The key beside the page.")],
    ratings: Annotated[list[Path], typer.Argument(help="What raters downloaded from the page.")],
    alpha: Annotated[
        float, typer.Option(help="Chance of a wrong claim where the models are alike, over all looks.")
    ] = 0.05,
    labelled: Annotated[
        Path | None, typer.Option(help="Also write the rated pairs there, to measure a judge by.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which model people prefer: win rate, agreement, and the gate's test.

    Each import of other ratings of a page is a look, and all looks share --alpha: half, a quarter, and so on.
    The exit code is 0 if the new model is better, 3 if that is not shown or it is worse, 2 for a mistake.
    """
    from engine.gate.compare import Answer
    from engine.gate.compare_text import layout, sentence
    from engine.judge.looks import spend
    from engine.judge.ratings import rated, read_key, read_votes, write_labelled

    sealed = read_key(key)
    votes = read_votes(sealed, ratings)
    look = spend(key, sealed, votes, alpha)
    found = rated(sealed, votes, look.level)
    num_labelled = write_labelled(labelled, votes) if labelled else 0
    verdict = found.comparison.verdict
    if as_json:
        said = {"answer": verdict, "sentence": sentence(found.comparison), "look": look._asdict()}
        show({**said, "rated": found}, as_json)
    else:
        print(printable("\n".join([sentence(found.comparison), "", *layout(_rows(found, look, alpha))])))
        if labelled:
            print(printable(f"{counted(num_labelled, 'pair')} with a preferred side are in {labelled}"))
    raise typer.Exit(0 if verdict is Answer.BETTER else 3)


def _rows(found: "Rated", look: "Spent", alpha: float) -> "list[Row]":
    """The figures behind the verdict, those of the ratings first."""
    from engine.gate.compare_text import rows
    from engine.gate.outcomes import on_one_line

    rate, left = found.win_rate, found.left
    agreement = "no pair has two ratings that could differ"
    if found.agreement is not None:
        agreement = f"{found.agreement:.2f} (Krippendorff's alpha)"
    where = "no rating prefers one"
    if left.num:
        where = f"{left.rate:.1%} of what is preferred, 95% interval {left.low:.1%} to {left.high:.1%}"
    return [
        ("old", on_one_line(found.names[0])),
        ("new", on_one_line(found.names[1])),
        ("win rate", f"{rate.rate:.1%}, 95% interval {rate.low:.1%} to {rate.high:.1%}, a tie counting half"),
        (
            "ratings",
            f"{found.won} prefer the new one, {found.lost} the old one, {found.tied} neither: "
            f"{counted(found.num_pairs, 'pair')}, {counted(found.num_raters, 'rater')}",
        ),
        ("agreement", agreement),
        ("on the left", where),
        ("look", f"number {look.number} at these ratings, at {look.level:g} of alpha {alpha:g}"),
        *rows(found.comparison),
    ]
