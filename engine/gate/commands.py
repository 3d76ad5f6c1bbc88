"""`ratchet compare`: the gate's test for results from anywhere.

ratchet compare old.jsonl new.jsonl
"""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.terminal import AsJson, printable, show

if TYPE_CHECKING:
    from engine.gate.compare_text import Row
    from engine.gate.loop_calls import Call
    from engine.gate.outcomes import Outcomes

app = typer.Typer()

_EXITS = {"not shown": 3, "worse": 3, "refuse": 3, "dropped": 3, "continue": 4, "carried": 5}
"""By the answer; 0 for every other, which are the claims that are shown."""
_Old = Annotated[
    Path, typer.Argument(metavar="OLD", help="Results of the model there is: JSON lines, or lm-eval samples.")
]
_New = Annotated[Path, typer.Argument(metavar="NEW", help="Results of the new model on the same items.")]
_Metric = Annotated[str, typer.Option(help="What is compared; by default what the files name first.")]
_Filter = Annotated[str, typer.Option(help="Filter of lm-eval, such as flexible-extract.")]
_Task = Annotated[list[str] | None, typer.Option(help="Task in a directory of lm-eval; by default all.")]
_Margin = Annotated[float | None, typer.Option(help="No worse by this? 0.02 is a drop of 2 points.")]
_Alpha = Annotated[float | None, typer.Option(help="Chance of a wrong claim [0.05]; of a ledger, of any.")]
_Ledger = Annotated[str, typer.Option(help="Name of the error budget that this call spends from.")]
_Tests = Annotated[int | None, typer.Option(help="Opens the ledger, for so many tests.")]
_Candidate = Annotated[str, typer.Option(help="Name of the new model in the ledger.")]
_Carry = Annotated[bool, typer.Option("--carry", help="Carry NEW on from OLD, the working model?")]
_Prove = Annotated[
    bool, typer.Option("--prove", help="Is NEW, carried or not, better than OLD, the champion?")
]
_Every = Annotated[int | None, typer.Option(min=1, help="Candidates between two trials [10].")]
_Sequential = Annotated[bool, typer.Option("--sequential", help="The files are one look of several.")]
_Looks = Annotated[int | None, typer.Option(min=1, max=100, help="Looks of a sequential test [12].")]
_LookSize = Annotated[int | None, typer.Option(min=1, max=1000, help="Items of a look [50].")]


@app.command()
def compare(
    old: _Old,
    new: _New,
    metric: _Metric = "",
    filter: _Filter = "",
    task: _Task = None,
    margin: _Margin = None,
    alpha: _Alpha = None,
    ledger: _Ledger = "",
    tests: _Tests = None,
    candidate: _Candidate = "",
    carry: _Carry = False,
    prove: _Prove = False,
    prove_every: _Every = None,
    sequential: _Sequential = False,
    looks: _Looks = None,
    look_size: _LookSize = None,
    as_json: AsJson = False,
) -> None:
    """Compare two models by their results on the same items: better, worse, or not shown.

    The exit code is 0 if better, no worse, accept or proven; 3 if not shown, worse, refuse or dropped; 4 to
    continue with the next look; 5 if carried; 2 for a mistake.
    """
    from engine.gate.compare_text import layout
    from engine.gate.outcome_files import Choice, read_pair

    options = {
        "--tests": tests,
        "--candidate": candidate or None,
        "--carry": carry or None,
        "--prove": prove or None,
        "--prove-every": prove_every,
        "--sequential": sequential or None,
        "--looks": looks,
        "--look-size": look_size,
    }
    call = _call(ledger, alpha, margin, {name: value for name, value in options.items() if value is not None})
    outcomes = read_pair(old, new, Choice(metric, filter, tuple(task or ())))
    record, table = _compared(outcomes, alpha, margin) if call is None else _judged(outcomes, call)
    if as_json:
        show(record, as_json)
    else:
        print(printable("\n".join([record["sentence"], "", *layout(table)])))
    raise typer.Exit(_EXITS.get(record["answer"], 0))


def _compared(
    outcomes: "tuple[Outcomes, Outcomes]", alpha: float | None, margin: float | None
) -> "tuple[dict[str, Any], list[Row]]":
    """The record of a comparison, and its table for people."""
    from engine.gate.compare import compare as compare_outcomes
    from engine.gate.compare_text import rows, sentence

    comparison = compare_outcomes(*outcomes, alpha=0.05 if alpha is None else alpha, margin=margin)
    record = {"answer": comparison.verdict, "sentence": sentence(comparison), "comparison": comparison}
    return record, rows(comparison)


def _judged(outcomes: "tuple[Outcomes, Outcomes]", call: "Call") -> "tuple[dict[str, Any], list[Row]]":
    """The record of a ledger's answer, and its table for people."""
    from engine.disk.home import ratchet_home
    from engine.gate.loop_ledger import judge
    from engine.gate.loop_text import rows, sentence

    judged = judge(ratchet_home(), call, *outcomes)
    record = {each.name: getattr(judged, each.name) for each in fields(judged)}
    return {"answer": judged.answer, "sentence": sentence(judged)} | record, rows(judged)


def _call(ledger: str, alpha: float | None, margin: float | None, options: dict[str, Any]) -> "Call | None":
    """The call of a ledger that the options make; None without one. Raises CompareError."""
    from engine.gate.outcomes import CompareError

    needs = {"--prove-every": "--carry", "--looks": "--sequential", "--look-size": "--sequential"}
    for option in options:
        if not ledger:
            raise CompareError(f"{option} needs --ledger NAME")
        if (other := needs.get(option, option)) not in options:
            raise CompareError(f"{option} needs {other}")
    if "--carry" in options and "--prove" in options:
        raise CompareError(
            "--carry compares NEW with the working model, --prove with the champion: choose one"
        )
    if not ledger:
        return None
    from configs.schema import Gate
    from engine.gate.loop_calls import PROVE_EVERY, Call
    from engine.gate.loop_state import Asked, Plan

    gate = Gate()
    plan = Plan(
        looks=options.get("--looks", gate.looks), look_size=options.get("--look-size", gate.look_size)
    )
    return Call(
        ledger=ledger,
        asked=Asked.CARRY if "--carry" in options else Asked.PROVE if "--prove" in options else Asked.TEST,
        candidate=options.get("--candidate", ""),
        tests=options.get("--tests"),
        alpha=alpha,
        margin=margin,
        plan=plan if "--sequential" in options else None,
        prove_every=options.get("--prove-every", PROVE_EVERY),
    )
