"""Loading a user's own Python file: a task, a verifier, a filter."""

import importlib.util
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from engine.errors import Mistake


class PluginError(Mistake):
    """A file that cannot be loaded, or lacks a part; the message names it and the reason."""


def load_plugin(path: Path, kind: str, wanted: Sequence[str]) -> ModuleType:
    """Run a file that is a `kind` of plug-in and must offer the names of `wanted`. Raises PluginError."""
    spec = importlib.util.spec_from_file_location(f"ratchet_{kind}_{path.stem}", path)
    assert spec and spec.loader, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's file may raise anything, or exit
        cause = _cause(error, str(spec.origin))
        raise PluginError(f"{kind} file {path} cannot be loaded: {cause}") from None
    missing = [name for name in wanted if not hasattr(module, name)]
    if missing:
        offers = ", ".join(wanted)
        raise PluginError(f"{kind} file {path} lacks {', '.join(missing)}; a {kind} offers {offers}")
    return module


def _cause(error: BaseException, file: str) -> str:
    """An error in one line, with the line of `file` it came from; a syntax error's message has its own."""
    said = " ".join(str(error).split())
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}{': ' if said else ''}{said}{where}"
