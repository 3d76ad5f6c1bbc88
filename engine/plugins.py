"""Loading a user's own Python file: a task, a verifier, a loop, a training method, a filter.

The file may import modules that stand beside it, unless an installed one has the same name. As Python knows a
module by its name alone, two files in different folders cannot each have one of the same name.
"""

import ast
import hashlib
import importlib.util
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, ModuleType

from engine.errors import Mistake

_NONE: Mapping[str, type] = MappingProxyType({})
_folders: set[Path] = set()
"""Where the files stand that were loaded, each of which is in ``sys.path``."""


class PluginError(Mistake):
    """A file that cannot be loaded, or lacks a part; the message names it and the reason."""


def load_plugin(
    path: Path, kind: str, functions: Sequence[str], classes: Mapping[str, type] = _NONE
) -> ModuleType:
    """Run a file that is a `kind` of plug-in and must offer `functions`, and `classes` with these bases.

    Raises PluginError.
    """
    if not path.exists():
        raise PluginError(f"{kind} file {path} does not exist")
    # Two files of one name in two folders are two modules.
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"ratchet_{kind}_{path.stem}_{digest}", path)
    assert spec and spec.loader, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    # At the end, so that no file beside it takes the place of an installed package. It stays there, because
    # functions of the file may import as well.
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)
    _folders.add(path.resolve().parent)
    _require_own_neighbours(path, kind)
    # PEFT imports it where it is installed, and it tells of a kernel that it would rather download.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    before = sys.modules.get(spec.name)
    # Known by its name while it runs: dataclasses look their annotations up there, also later ones.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's file may raise anything, or exit
        if before is None:
            del sys.modules[spec.name]
        else:
            sys.modules[spec.name] = before
        cause = cause_in(error, str(spec.origin))
        raise PluginError(f"{kind} file {path} cannot be loaded: {cause}") from None
    wanted = (*classes, *functions)
    missing = [name for name in wanted if not hasattr(module, name)]
    if missing:
        offers = ", ".join(wanted)
        raise PluginError(f"{kind} file {path} lacks {', '.join(missing)}; a {kind} offers {offers}")
    for name, base in classes.items():
        value = getattr(module, name)
        if not isinstance(value, type) or not issubclass(value, base):
            wanted_class = f"a class that derives from {base.__module__}.{base.__qualname__}"
            raise PluginError(f"{name} in the {kind} file {path} must be {wanted_class}, got {value!r:.80}")
    for name in functions:
        if not callable(value := getattr(module, name)):
            got = type(value).__name__
            raise PluginError(f"{name} in the {kind} file {path} must be a function, got {got}")
    return module


def _require_own_neighbours(path: Path, kind: str) -> None:
    """Refuse a file that would be given a module from beside another plug-in. Raises PluginError."""
    for name, beside in _neighbours(path.resolve(), {}).items():
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec and spec.origin else beside
        if found != beside and any(found in _places(folder, name) for folder in _folders):
            raise PluginError(
                f"{kind} file {path} imports {name} from beside it, but {found} has this name already: "
                "modules beside plug-ins in different folders need different names"
            )


def _neighbours(file: Path, known: dict[str, Path]) -> dict[str, Path]:
    """By name the modules beside a file that it imports, also in functions and by way of each other."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return known  # whoever runs it is told
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in (each.partition(".")[0] for each in names):
            beside = next(filter(Path.is_file, _places(file.parent, name)), None)
            if beside and name not in known:
                known[name] = beside
                _neighbours(beside, known)
    return known


def _places(folder: Path, name: str) -> tuple[Path, Path]:
    """Where a module of a folder can be: Python looks for a package first."""
    return folder / name / "__init__.py", folder / f"{name}.py"


@contextmanager
def naming(what: str, module: ModuleType) -> Iterator[None]:
    """Turn an error that a user's module raises into a PluginError: `what` fails, and the cause.

    A Mistake is a sentence already, and passes.
    """
    try:
        yield
    except Mistake:
        raise
    except Exception as error:  # noqa: BLE001 - a user's file may raise anything
        raise PluginError(f"{what} fails: {cause_in(error, str(module.__file__))}") from None


def cause_in(error: BaseException, file: str) -> str:
    """An error in one line, with the line of `file` it came from; a syntax error's message has its own."""
    said = " ".join(str(error).split())
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}{': ' if said else ''}{said}{where}"
