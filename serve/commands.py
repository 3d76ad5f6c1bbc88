"""The `ratchet keys` commands: create, list and revoke the API keys of RATCHET_HOME."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from engine.terminal import AsJson, show

if TYPE_CHECKING:
    from serve.keys import Keys

app = typer.Typer(help="Manage the API keys of the server.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the key, such as its owner's.")],
    scope: Annotated[list[str] | None, typer.Option(help="infer (the default) or admin.")] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Limit of this key, instead of the server's.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Limit of this key, instead of the server's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It is shown only this once."""
    key, token = _keys().create(name, scope or ["infer"], requests_per_minute, tokens_per_minute)
    if as_json:
        show({"id": key.id, "name": key.name, "key": token}, as_json)
    else:
        print(token)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List all keys by name. The list does not reveal them."""
    keys = _keys().all()
    if as_json:
        show({"keys": [replace(key, sha256="") for key in keys]}, as_json)
        return
    for key in keys:
        state = f"revoked {key.revoked}" if key.revoked else ", ".join(key.scopes)
        print(f"{key.id}  {key.name}  {state}  (created {key.created})")


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Name or id of the key.")]) -> None:
    """Revoke a key. Servers refuse it from the next request on."""
    print(f"revoked {_keys().revoke(name).name}")


def _keys() -> "Keys":
    from engine.disk.home import ratchet_home
    from serve.keys import Keys

    return Keys(ratchet_home())
