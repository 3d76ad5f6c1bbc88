"""A user's file that lacks a part, or whose part has the wrong type or raises, is one sentence."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.base import Leaf
from engine.errors import Mistake
from engine.plugins import PluginError, load_plugin, naming


@pytest.fixture(autouse=True)
def same_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A plug-in's folder and modules beside it stay with its process: here they go with the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in [name for name in sys.modules if name.startswith("beside_")]:
        del sys.modules[name]


PARTS = {"propose": "lambda: 0", "Settings": "type('S', (Leaf,), {})"}


def plugin(folder: Path, **parts: str) -> Path:
    file = folder / "mine.py"
    lines = [f"{name} = {value}\n" for name, value in (PARTS | parts).items() if value]
    file.write_text("from configs.base import Leaf\n" + "".join(lines))
    return file


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"propose": ""}, "loop file {} lacks propose; a loop offers Settings, propose"),
        ({"propose": "3"}, "propose in the loop file {} must be a function, got int"),
        (
            {"Settings": "3"},
            "Settings in the loop file {} must be a class that derives from configs.base.Leaf, got 3",
        ),
        (
            {"Settings": "dict"},
            "Settings in the loop file {} must be a class that derives from configs.base.Leaf, "
            "got <class 'dict'>",
        ),
    ],
)
def test_a_part_is_there_and_of_its_type(tmp_path: Path, parts: dict[str, str], message: str) -> None:
    file = plugin(tmp_path, **parts)
    with pytest.raises(PluginError) as error:
        load_plugin(file, "loop", ("propose",), {"Settings": Leaf})
    assert str(error.value) == message.replace("{}", str(file))


def test_a_missing_file_does_not_exist() -> None:
    with pytest.raises(PluginError, match="^method file no/such.py does not exist$"):
        load_plugin(Path("no/such.py"), "method", ("tokens",))


def test_what_a_file_raises_later_is_a_sentence_with_its_line(tmp_path: Path) -> None:
    module = load_plugin(plugin(tmp_path, propose="lambda: 1 / 0"), "loop", ("propose",))
    cause = r"^it fails: ZeroDivisionError: division by zero \(line 2\)$"
    with pytest.raises(PluginError, match=cause), naming("it", module):
        module.propose()
    with pytest.raises(Mistake, match="^a sentence$"), naming("it", module):
        raise Mistake("a sentence")


def test_a_file_may_postpone_its_annotations_and_hold_dataclasses(tmp_path: Path) -> None:
    file = tmp_path / "later.py"
    file.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar, get_type_hints\n"
        "from configs.base import Leaf\n"
        "@dataclass(frozen=True, slots=True)\n"
        "class Pair:\n    one: int\n    other: Pair | None = None\n    most: ClassVar[int] = 3\n"
        "class Settings(Leaf):\n    pairs: list[Number] = []\n"
        "class Number(Leaf):\n    value: int = 0\n"
        "Settings.model_rebuild()\n"
        "def propose():\n    return Pair(1, Pair(2)), get_type_hints(Pair), Settings(pairs=[Number()])\n"
    )
    module = load_plugin(file, "loop", ("propose",), {"Settings": Leaf})
    pair, hints, settings = module.propose()
    assert pair.other.one == 2 and set(hints) == {"one", "other", "most"}
    assert settings.pairs[0].value == 0


def test_a_file_may_import_a_module_beside_it_also_inside_a_function(tmp_path: Path) -> None:
    (tmp_path / "beside_a_plugin.py").write_text("ANSWER = 42\n")
    (tmp_path / "beside_a_function.py").write_text("ANSWER = 43\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "import beside_a_plugin\n"
        "def propose():\n"
        "    from beside_a_function import ANSWER\n"
        "    return beside_a_plugin.ANSWER, ANSWER\n"
    )
    assert load_plugin(file, "loop", ("propose",)).propose() == (42, 43)


def test_a_module_beside_a_file_takes_no_installed_one_s_place(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError\n")
    (tmp_path / "yaml.py").write_text("raise RuntimeError\n")
    file = tmp_path / "mine.py"
    file.write_text("import json, yaml\ndef propose():\n    return json.dumps(yaml.safe_load('1'))\n")
    assert load_plugin(file, "loop", ("propose",)).propose() == "1"


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "mine.py"
        file.write_text(f"NAME = '{folder}'\ndef propose():\n    return NAME\n")
        found.append(load_plugin(file, "loop", ("propose",)))
    assert [module.propose() for module in found] == ["a", "b"]
    assert found[0].__name__ != found[1].__name__


@pytest.mark.parametrize(
    "text",
    [
        "from beside_two import NAME\ndef propose():\n    return NAME\n",
        "def propose():\n    from beside_two import NAME\n    return NAME\n",
        "from beside_{} import NAME\ndef propose():\n    return NAME\n",
        "def propose():\n    return '{}'\n",
    ],
    ids=["at once", "in a function", "by way of another", "not at all"],
)
def test_two_folders_cannot_each_have_a_module_of_one_name(tmp_path: Path, text: str) -> None:
    """The second file would silently run the code that stands beside the first one."""
    one, other = (tmp_path / folder / "mine.py" for folder in "ab")
    for file in (one, other):
        name = file.parent.name
        file.parent.mkdir()
        file.write_text(text.format(name))
        (file.parent / "beside_two.py").write_text(f"NAME = '{name}'\n")
        (file.parent / f"beside_{name}.py").write_text("from beside_two import NAME\n")
    assert load_plugin(one, "loop", ("propose",)).propose() == "a"
    if "NAME" not in text:
        assert load_plugin(other, "loop", ("propose",)).propose() == "b"
        return
    with pytest.raises(PluginError) as error:
        load_plugin(other, "loop", ("propose",))
    assert str(error.value) == (
        f"loop file {other} imports beside_two from beside it, but {one.parent}/beside_two.py has this name "
        "already: modules beside plug-ins in different folders need different names"
    )


def test_a_file_that_fails_leaves_the_module_that_was_loaded_before(tmp_path: Path) -> None:
    file = plugin(tmp_path)
    first = load_plugin(file, "loop", ("propose",))
    file.write_text("1 / 0\n")
    with pytest.raises(PluginError, match="cannot be loaded: ZeroDivisionError"):
        load_plugin(file, "loop", ("propose",))
    assert sys.modules[first.__name__] is first
    other = tmp_path / "other.py"
    other.write_text("1 / 0\n")
    with pytest.raises(PluginError):
        load_plugin(other, "loop", ("propose",))
    assert not [name for name in sys.modules if name.startswith("ratchet_loop_other")]
