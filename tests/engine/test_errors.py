"""The tree of errors: its drawing is true, only mistakes and losses become sentences, and Ray carries all."""

import ast
import builtins
import errno
import importlib
import pickle
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from engine import errors
from engine.errors import Broken, Lost, Mistake, RatchetError, cause_of, last_line, sentence_of

ROOT = Path(__file__).parents[2]
SOURCES = [
    file
    for package in ("configs", "engine", "loops", "tune", "serve", "cluster")
    for file in sorted((ROOT / package).rglob("*.py"))
]
ROOTS = (Mistake, Lost, Broken)
HOME = Path("/home/of/ratchet")


class Class(NamedTuple):
    bases: tuple[str, ...]
    module: str


def drawn() -> dict[str, Class]:
    """The classes of the drawing in `engine.errors`, each with the one above it and its module."""
    found: dict[str, Class] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.fullmatch(r"    ((?:│   |    |├── |└── )*)(\w+)(?: +([\w.]+))?", line):
            depth = len(match[1]) // 4
            assert match[2] not in found, f"{match[2]} is drawn twice"
            above[depth:] = [match[2]]
            found[match[2]] = Class((above[depth - 1],) if depth else (), match[3] or "engine.errors")
    return found


def exceptions() -> dict[str, Class]:
    """All exception classes of the sources, by name, found without importing anything."""
    classes: list[tuple[str, Class]] = []
    for file in SOURCES:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                bases = tuple(ast.unparse(base).rpartition(".")[2] for base in node.bases)
                classes.append((node.name, Class(bases, module)))
    found: dict[str, Class] = {}
    # Again until nothing is new, because a class may be read before its base.
    while new := [
        (name, each)
        for name, each in classes
        if name not in found and any(base in found or is_raisable(base) for base in each.bases)
    ]:
        found.update(new)
    return found


def is_raisable(name: str) -> bool:
    builtin = getattr(builtins, name, None)
    return isinstance(builtin, type) and issubclass(builtin, BaseException)


def roots_of(name: str, classes: dict[str, Class]) -> set[str]:
    if name in ("Mistake", "Lost", "Broken", "RatchetError"):
        return {name}
    return {root for base in classes[name].bases if base in classes for root in roots_of(base, classes)}


def test_the_tree_is_drawn_as_it_is() -> None:
    classes = exceptions()
    ours = {name: each for name, each in classes.items() if roots_of(name, classes)}
    tree = drawn()
    assert tree.keys() == ours.keys(), "draw the tree in engine/errors.py anew"
    for name, each in ours.items():
        assert tree[name].module == each.module, f"{name} is in {each.module}"
        assert set(tree[name].bases) <= set(each.bases), f"{name} derives from {each.bases}"
        assert name == "RatchetError" or tree[name].bases, f"{name} hangs from nothing"
        if name not in ("RatchetError", "Mistake", "Lost", "Broken"):
            assert len(roots_of(name, classes)) == 1, f"{name} hangs from two roots"
            assert len(each.bases) == 1, f"{name} needs no further base: its root has one"


def test_what_is_outside_the_tree_says_so() -> None:
    classes = exceptions()
    outside = {name for name in classes if not roots_of(name, classes)}
    named = set(re.findall(r"`(\w+)`", (errors.__doc__ or "").partition("outside this tree")[2]))
    assert outside == named


@pytest.fixture(scope="module")
def tree() -> list[type[RatchetError]]:
    return [getattr(importlib.import_module(each.module), name) for name, each in drawn().items()]


def test_only_mistakes_and_losses_become_sentences(tree: list[type[RatchetError]]) -> None:
    for cls in tree:
        (root,) = [each for each in ROOTS if issubclass(cls, each)] or [RatchetError]
        sentence = sentence_of(cls("what was wrong"), HOME)
        assert sentence == ("what was wrong" if root in (Mistake, Lost) else None), cls


def test_bugs_are_no_sentences() -> None:
    for error in (ValueError("a bug"), RuntimeError("a bug"), KeyError("a bug"), OSError("a bug")):
        assert sentence_of(error, HOME) is None


@pytest.mark.parametrize(
    ("number", "file", "sentence"),
    [
        (errno.ENOSPC, "/disk/file", "the disk is full: /disk/file could not be written"),
        (errno.EDQUOT, "/nfs/file", "the disk is full: /nfs/file could not be written"),
        (errno.ENOSPC, None, "the disk is full: a file could not be written"),
        (errno.ENAMETOOLONG, "/disk/long", "the name is too long for a file: /disk/long"),
        (errno.EACCES, f"{HOME}/runs", f"RATCHET_HOME {HOME} cannot be used: {HOME}/runs: no"),
        (errno.EACCES, "/elsewhere", None),
        (errno.EIO, f"{HOME}/runs", None),
    ],
)
def test_a_disk_that_refuses_is_a_sentence(number: int, file: str | None, sentence: str | None) -> None:
    assert sentence_of(OSError(number, "no", file), HOME) == sentence


def test_an_error_without_words_is_named() -> None:
    assert last_line(RuntimeError("Traceback …\n  the reason\n")) == "the reason"
    assert last_line(ConnectionError()) == "ConnectionError"


def test_ray_carries_every_error_of_the_tree(tree: list[type[RatchetError]]) -> None:
    from ray.exceptions import RayTaskError

    for cls in tree:
        again = pickle.loads(pickle.dumps(cls("what was wrong")))  # noqa: S301
        assert type(again) is cls and str(again) == "what was wrong"
        wrapped = RayTaskError("work", "Traceback of the worker", again)
        for error in (wrapped, wrapped.as_instanceof_cause()):
            assert cause_of(error) is again
            assert sentence_of(error, HOME) == sentence_of(again, HOME)
        assert isinstance(wrapped.as_instanceof_cause(), cls)
        # An actor that asks an actor wraps twice.
        twice = RayTaskError("outer", "Traceback of the outer worker", wrapped)
        assert cause_of(twice) is again


def test_the_tree_imports_nothing_of_the_project() -> None:
    for node in ast.walk(ast.parse(Path(errors.__file__).read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.module in ("pathlib",), node.module
        if isinstance(node, ast.Import):
            assert [alias.name for alias in node.names] == ["errno"]
