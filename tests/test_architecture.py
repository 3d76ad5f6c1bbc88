"""The house rules as tests: imports go one way, the command line starts quickly, no config key is unread."""

import ast
import itertools
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import get_args, get_origin

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel

from configs.schema import Config
from configs.serving import Serving

ROOT = Path(__file__).parent.parent
PACKAGES = ("configs", "engine", "loops", "tune", "serve", "cluster")
MAY_IMPORT = {
    "configs": {"configs", "engine.errors"},  # which itself imports nothing of the project
    "engine": {"configs", "engine"},
    "loops": {"configs", "engine", "loops"},
    "tune": {"configs", "engine", "loops", "tune"},
    "serve": {"configs", "engine", "serve"},
    "cluster": {"configs", "engine", "cluster"},
}
CLUSTER_MAY_IMPORT_OF_ENGINE = {"errors", "failures", "proxies", "records", "terminal", "disk", "plan"}
"""Rooms: what a run leaves and shows, and what it needs of a cluster."""
MADE_OF = {
    "markupsafe": "jinja2",
    "pydantic-core": "pydantic",
    "referencing": "jsonschema",
    "sympy": "math-verify",
    "xgrammar": "vllm",
}
"""Packages that are not declared, because another one hands out what is theirs."""
HEAVY = {
    "ray",
    "torch",
    "transformers",
    "vllm",
    "trl",
    "peft",
    "deepspeed",
    "datasets",
    "z3",
    "scipy",
    "numpy",
}
SOURCES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")) + [
    ROOT / "ratchet.py"
]


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def imports(file: Path, *, at_start: bool = False) -> Iterator[str]:
    """Modules that a file imports anywhere, or only while it is itself imported."""
    nodes: list[ast.AST] = [parsed(file)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module or ""
        inner = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not (at_start and (inner or typing_only)):
            nodes.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        for module in imports(file):
            top = module.partition(".")[0]
            assert top != "ratchet", f"{file} imports the command line"
            assert top != "tests", f"{file} imports tests"
            assert top not in PACKAGES or {top, module} & MAY_IMPORT[package], f"{file} imports {module}"
            if package == "cluster" and top == "engine":
                room = module.split(".")[1]
                assert room in CLUSTER_MAY_IMPORT_OF_ENGINE, f"{file} imports {module}"


def test_the_sealed_checker_shares_nothing_with_the_rule_checker_but_formulas() -> None:
    """Facts of the format and the records that go in and out apart, which hold no code of either."""
    files = {ROOT / "engine" / "verify" / "sealed.py"}
    while new := {used for file in files for module in imports(file) if (used := _file_of(module))} - files:
        files |= new
    names = {file.relative_to(ROOT / "engine").as_posix() for file in files}
    assert names == {
        "verify/sealed.py",
        "verify/verdicts.py",
        "logic/sealed/reader.py",
        "logic/sealed/english.py",
        "logic/sealed/fol.py",
        "logic/sealed/steps.py",
        "logic/sealed/proof.py",
        "logic/sealed/formalized.py",
        "logic/sealed/instances.py",
        "logic/sealed/proofwriter.py",
        "logic/sealed/closed_world.py",
        "logic/sealed/unknown.py",
        "logic/entailment.py",
        "logic/models.py",
        "logic/formulas.py",
        "logic/faults.py",
        "logic/limits.py",
        "records.py",
    }


def _file_of(module: str) -> Path | None:
    file = ROOT / f"{module.replace('.', '/')}.py"
    return file if module.startswith("engine.") and file.is_file() else None


def test_configs_import_nothing_heavy() -> None:
    for file in (ROOT / "configs").rglob("*.py"):
        assert not HEAVY & {module.partition(".")[0] for module in imports(file)}, file


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["run", "no-such-file.yaml"],
        ["doctor"],
        ["plan", "configs/quickstart.yaml"],
    ],
)
def test_command_line_loads_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, ratchet\n"
        f"sys.argv = ['ratchet', *{arguments!r}]\n"
        "try: ratchet.main()\n"
        "except SystemExit: pass\n"
        f"print('LOADED', sorted({HEAVY!r} & set(sys.modules)))"
    )
    environment = {"PATH": "/usr/bin:/bin", "RATCHET_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "LOADED []", done.stdout + done.stderr


def models_of(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
    elif get_origin(annotation):
        for argument in get_args(annotation):
            yield from models_of(argument)


def test_every_config_key_is_read() -> None:
    """A key that nothing reads would promise something that is not done."""
    read = set()
    for file in SOURCES:
        if file not in (ROOT / "configs" / "schema.py", ROOT / "configs" / "serving.py"):
            read |= {node.attr for node in ast.walk(parsed(file)) if isinstance(node, ast.Attribute)}
    pending, seen, unread = [Config, Serving], set(), []
    while pending:
        model = pending.pop()
        if model in seen:
            continue
        seen.add(model)
        for name, field in model.model_fields.items():
            pending.extend(models_of(field.annotation))
            if name not in read:
                unread.append(f"{model.__name__}.{name}")
    assert not unread


def test_no_utility_dump_and_no_pickle() -> None:
    for file in SOURCES:
        assert file.name not in ("utils.py", "helpers.py", "common.py"), file
        assert not {"pickle", "dill", "cloudpickle", "shelve", "marshal"} & set(imports(file)), file


def test_sources_stay_short() -> None:
    for file in SOURCES:
        # Every record that crosses a stage is in one file, and every field of it is explained.
        if file == ROOT / "engine" / "records.py":
            continue
        # Every command that needs several rooms is on one page.
        most = 320 if file == ROOT / "ratchet.py" else 300
        assert len(file.read_text().splitlines()) <= most, f"{file} is longer than {most} lines"


def test_functions_stay_short() -> None:
    for file in SOURCES:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                # The cycle and the training loops are read from top to bottom.
                allowed = (
                    105
                    if file.parent.name == "loops" or file.parent.parts[-2:] == ("engine", "train")
                    else 60
                )
                assert length <= allowed, f"{file}: {node.name} has {length} lines"


def test_every_module_says_what_it_is_for() -> None:
    for file in SOURCES:
        text = file.read_text()
        assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{file} has no docstring"


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {canonicalize_name(Requirement(each).name) for each in declared} | MADE_OF.keys()
    owners = packages_distributions()
    for file in SOURCES:
        for top in {module.partition(".")[0] for module in imports(file)} - sys.stdlib_module_names:
            given = {canonicalize_name(each) for each in owners.get(top, [])}
            assert top in ("_typeshed", *PACKAGES) or given & names, f"{file} imports {top}"


def test_an_installed_package_has_all_that_its_code_reads() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]
    # Of `cluster` the code reads the locks alone; the rest is for other programs.
    for package in set(PACKAGES) - {"cluster"}:
        given = {file for pattern in patterns.get(package, ()) for file in (ROOT / package).glob(pattern)}
        there = {file for file in (ROOT / package).rglob("*.*") if "__pycache__" not in file.parts}
        assert not {file for file in there - given if file.suffix not in (".py", ".md", ".png")}, package


def test_what_make_bench_runs_needs_no_argument() -> None:
    for file in (ROOT / "tests" / "bench").glob("bench_*.py"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("add_argument"):
                said = ast.unparse(node)
                assert "required=True" not in said and ast.literal_eval(node.args[0]).startswith("-"), (
                    f"{file} {said}"
                )
