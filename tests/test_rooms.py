"""The rooms of the house as tests: floors of `engine/`, no circle anywhere, and who may name a task."""

import ast
import graphlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("configs", "engine", "loops", "tune", "serve", "cluster")
FLOORS = {
    "errors": 0,
    **dict.fromkeys(("records", "answers", "embeddings", "endpoints", "plugins", "proxies"), 1),
    **dict.fromkeys(("terminal", "earlier"), 1),
    **dict.fromkeys(("failures", "disk", "logic", "gym", "people"), 2),
    **dict.fromkeys(("models", "tasks", "verify"), 3),
    **dict.fromkeys(("registry", "plan", "sample"), 4),
    **dict.fromkeys(("measure", "curate", "train", "memory"), 5),
    **dict.fromkeys(("gate", "report", "predict"), 6),
    **dict.fromkeys(("preflight", "judge", "export", "benchmark", "prove"), 7),
    "corpus": 8,
}
"""A room of `engine/` imports rooms of lower floors only."""
SPEAKS_OF_NO_TASK = ("engine/plan", "tune", "engine/report", "serve", "engine/gate", "engine/measure")
WORDS = re.compile(r"prontoqa|oak_dpo|\bproofs?\b|(?<!use )\bstrict\b(?!=)", re.IGNORECASE)
MAY_NAME_ONE = {
    "serve/engine.py": "an engine proves the weights that it holds",
    "serve/weights.py": "an engine proves the weights that it holds",
    "serve/messages.py": "a field of OpenAI's tools has this name",
    "serve/structured.py": "a field of OpenAI's response formats has this name",
}
"""Files of these rooms that may name a task, a loop or its measures all the same, and why."""
LONGEST_FUNCTION = 105
MOST_LINES = {"loops/campaign.py": 90, "ratchet.py": 320, "README.md": 200}


@cache
def sources() -> list[Path]:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return sorted([*files, ROOT / "ratchet.py"])


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(file: Path, *, while_loading: bool = False) -> Iterator[str]:
    """Modules of ours that a file imports; `while_loading` leaves out imports in functions and for types."""
    nodes: list[ast.AST] = [parsed(file)]
    known = {module_of(each) for each in sources()}
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if (found := whole if whole in known else node.module) in known:
                    yield found
        inner = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not (while_loading and (inner or for_types)):
            nodes.extend(ast.iter_child_nodes(node))


def room_of(module: str) -> str:
    return module.split(".")[1]


def test_every_room_has_a_floor_and_says_what_it_is_for() -> None:
    rooms = {path.stem for path in (ROOT / "engine").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__"} == set(FLOORS)


def test_a_room_imports_rooms_of_lower_floors_only() -> None:
    for file in (ROOT / "engine").rglob("*.py"):
        own = module_of(file)
        if own == "engine":
            continue
        for module in imports(file):
            if module.startswith("engine.") and room_of(module) != room_of(own):
                higher = FLOORS[room_of(module)] >= FLOORS[room_of(own)]
                assert not higher, f"{file.relative_to(ROOT)} imports {module}, of no lower floor"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module_of(file): set(imports(file, while_loading=True)) for file in sources()}
    # A package's own __init__ may be imported by its modules: it imports none of them while it loads.
    graph = {module: {each for each in used if each != module} for module, used in graph.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"imports go in a circle: {' -> '.join(error.args[1])}")


def definitions(file: Path) -> set[str]:
    """Names that a module defines itself."""
    names: set[str] = set()
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {
                each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
            }
    return names


def test_a_name_is_imported_from_where_it_is_defined() -> None:
    """No alias and no re-export: a name has one address."""
    files = {module_of(file): file for file in sources()}
    defined = {module: definitions(file) for module, file in files.items()}
    for file in [*sources(), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ImportFrom) and node.module in files:
                for alias in node.names:
                    own = alias.name in defined[node.module] or alias.name == "__file__"
                    known = own or f"{node.module}.{alias.name}" in files
                    assert known, f"{file.relative_to(ROOT)}: {alias.name} is not defined in {node.module}"


def test_no_package_imports_one_that_imports_it() -> None:
    """Rooms, too, do not go in circles, whatever their modules do inside functions."""
    rooms: dict[str, set[str]] = {}
    for file in (ROOT / "engine").rglob("*.py"):
        if (own := module_of(file)) != "engine":
            used = {room_of(module) for module in imports(file) if module.startswith("engine.")}
            rooms.setdefault(room_of(own), set()).update(used - {room_of(own)})
    graphlib.TopologicalSorter(rooms).prepare()


@pytest.mark.parametrize("room", SPEAKS_OF_NO_TASK)
def test_rooms_that_serve_every_task_name_none(room: str) -> None:
    assert (ROOT / room).is_dir()
    for file in sorted((ROOT / room).rglob("*")):
        if file.suffix not in (".py", ".j2", ".html"):
            continue
        name = file.relative_to(ROOT).as_posix()
        found = {word.lower() for word in WORDS.findall(file.read_text())}
        assert not found or name in MAY_NAME_ONE, f"{name} names {', '.join(sorted(found))}"


@pytest.mark.parametrize("name", MAY_NAME_ONE)
def test_what_may_name_a_task_does(name: str) -> None:
    assert WORDS.search((ROOT / name).read_text())


def test_no_test_imports_a_test() -> None:
    for file in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests"):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                tests = [name for name in names if name.rpartition(".")[2].startswith("test_")]
                assert not tests, f"{file.relative_to(ROOT)} imports {tests[0]}"


def test_tests_mirror_the_tree() -> None:
    """Every folder of tests but those of helpers, volume and measurements is a folder of the tree."""
    for folder in (ROOT / "tests").rglob("*/"):
        parts = folder.relative_to(ROOT / "tests").parts
        if parts[0] in ("support", "soak", "bench", "golden") or "__pycache__" in parts:
            continue
        if any(folder.glob("test_*.py")):
            assert (ROOT / folder.relative_to(ROOT / "tests")).is_dir(), f"no folder for {folder}"


@pytest.mark.parametrize(("name", "most"), MOST_LINES.items())
def test_what_is_read_first_stays_short(name: str, most: int) -> None:
    assert len((ROOT / name).read_text().splitlines()) <= most


def test_the_longest_function_is_read_in_one_go() -> None:
    for file in sources():
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= LONGEST_FUNCTION, f"{file}: {node.name} has {length} lines"
