"""`ratchet serve`, and the `ratchet keys` commands: create, list and revoke the API keys of RATCHET_HOME."""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import typer

from engine.terminal import AsJson, show

if TYPE_CHECKING:
    from engine.plan.machine import Machine
    from serve.keys import Keys

app = typer.Typer(help="Manage the API keys of the server.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the key, such as its owner's.")],
    scope: Annotated[list[str] | None, typer.Option(help="infer (the default), feedback or admin.")] = None,
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


class Cluster(Protocol):
    """Where engines run: this package knows no cluster."""

    def machine(self, home: Path) -> "Machine": ...

    def connect(self, needs: Any) -> None: ...

    def until_interrupted(self, what: str) -> AbstractContextManager[None]: ...


Runtime = Literal["vllm", "llama.cpp"]


def serve_with(cluster: Cluster) -> typer.Typer:
    """The command that serves, whose engines run on a cluster."""
    serving = typer.Typer()

    @serving.command("serve")
    def serve_line(
        config: Annotated[Path, typer.Argument(help="A YAML file.")] = Path("configs/serve.yaml"),
        overrides: Annotated[
            list[str] | None, typer.Argument(help="Changes to it, such as port=9000.")
        ] = None,
        runtime: Annotated[Runtime, typer.Option(help="llama.cpp serves a GGUF file on CPUs.")] = "vllm",
    ) -> None:
        """Serve a line's champion over HTTP until Ctrl-C, through its promotions and rollbacks."""
        from serve.front import in_own_session

        in_own_session()  # before anything below starts a thread
        from configs.load import load_as
        from configs.serving import Serving
        from engine.disk.home import ratchet_home
        from engine.plan.precision import settle
        from serve.app import ServeError, prepare, run
        from serve.slots import SlotsFile

        settings, home = load_as(Serving, config, overrides), ratchet_home()
        machine = cluster.machine(home)

        def ready(url: str) -> None:
            served = settings.llama.file or settings.line
            print(f"{served} is served at {url}/v1, and its page at {url}/", flush=True)
            if not any(not key.revoked for key in _keys().all()):
                print("there is no key yet: `ratchet keys create NAME` creates one", flush=True)

        if runtime == "llama.cpp":
            from serve.llama import serve_file

            with cluster.until_interrupted("the server"):
                serve_file(settings, home, machine, ready)
            return
        if settings.llama.file:
            raise ServeError("llama.file has no effect without --runtime llama.cpp")
        settings = settle(settings, machine)
        footing = prepare(settings, home, machine)
        with SlotsFile(home, settings.line).alone():
            cluster.connect(footing)
            with cluster.until_interrupted("the server"):
                run(settings, home, machine, ready)

    return serving


def _keys() -> "Keys":
    from engine.disk.home import ratchet_home
    from serve.keys import Keys

    return Keys(ratchet_home())
