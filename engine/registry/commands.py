"""`ratchet models`: the models and lines of the registry.

ratchet models show prontoqa/smollm2-135m
"""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.terminal import AsJson, printable, show

if TYPE_CHECKING:
    from engine.registry.registry import Registry

app = typer.Typer(help="Models and lines of the registry.", invoke_without_command=True)

LineName = Annotated[str, typer.Argument(metavar="LINE", help="Name of a line.")]


@app.callback()
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """Models and lines of the registry; the same as `list` without a command."""
    if context.invoked_subcommand is None:
        list_all(as_json)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List all lines with their champions and working models, and all stored models."""
    registry = _registry()
    if as_json:
        show({"lines": registry.lines(), "models": registry.models()}, as_json)
        return
    for line in registry.lines():
        left = f", {line.ledger.num_left} gate tests left" if line.ledger else ""
        carried = f"  working model {line.working}, not proven" if line.working else ""
        print(f"{line.name}  champion {line.champion or 'none'} (epoch {line.epoch}{left}){carried}")
    for stored in registry.models():
        freed = "weights freed" if stored.freed else f"{stored.num_bytes / 2**20:.0f} MiB"
        print(f"{stored.manifest.model_id}  {freed}  {', '.join(stored.lines)}")
    if not registry.lines():
        print("the registry is empty: `ratchet run configs/quickstart.yaml` fills it")


@app.command("show")
def show_line(name: LineName, as_json: AsJson = False) -> None:
    """Show a line: its champion, working model, ledger and history."""
    registry = _registry()
    line = registry.used_line(name)
    if as_json:
        show({"line": line, "history": registry.history(name)}, as_json)
        return
    show(line, as_json)
    for event in registry.history(name):
        print(printable(f"{event.time}  {event.kind}  {event.model_id}  {event.reason}"))


@app.command()
def rollback(
    name: LineName,
    reason: Annotated[str, typer.Option(help="Recorded in the history.")] = "by hand",
) -> None:
    """Make the previous champion of a line its champion again."""
    line = _registry().rollback(name, reason)
    print(f"{line.name}  champion {line.champion} (epoch {line.epoch})")


@app.command()
def prune(
    name: Annotated[
        str | None, typer.Argument(metavar="LINE", help="Prune only models of this line.")
    ] = None,
    keep: Annotated[int, typer.Option(min=0, help="Number of the newest models to keep.")] = 0,
) -> None:
    """Delete the weights of models that no line needs; their records stay."""
    freed = _registry().prune(name, keep)
    size = sum(stored.num_bytes for stored in freed)
    print(f"freed {len(freed)} models, {size / 2**20:.0f} MiB")


def _registry() -> "Registry":
    from engine.disk.home import ratchet_home
    from engine.registry.registry import Registry

    return Registry(ratchet_home())
