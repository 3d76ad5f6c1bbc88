"""A user's file that lacks a part, or whose part has the wrong type or raises, is one sentence."""

from pathlib import Path

import pytest

from configs.base import Leaf
from engine.errors import Mistake
from engine.plugins import PluginError, load_plugin, naming

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
