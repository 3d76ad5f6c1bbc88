"""What is wrong with a config, in one sentence."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from configs.schema import Leaf


def _no_file(path: Path) -> str:
    shipped = sorted(str(file) for file in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    near = difflib.get_close_matches(str(path), shipped, n=1) or difflib.get_close_matches(
        f"{path}.yaml", shipped, n=1, cutoff=0.9
    )
    hint = f"; did you mean {near[0]}?" if near else (f"; there are {', '.join(shipped)}" if shipped else "")
    return f"config {path} does not exist{hint}"


def _explain(schema: type[Leaf], error: ValidationError, tree: dict[str, Any]) -> str:
    # An unknown key first: a mistyped key is often also the reason why another one is missing.
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    details = [detail for detail in details if not _other_branch(detail["loc"], tree)] or details
    path = _key_path(details[0]["loc"], tree)
    dotted = ".".join(path)
    if details[0]["type"] == "extra_forbidden":
        return _unknown_key(schema, path)
    if details[0]["type"] == "missing":
        return f"key {dotted} is missing"
    message = details[0]["msg"].removeprefix("Value error, ")
    if details[0]["type"] == "value_error":
        return f"{dotted}: {message}" if dotted else message
    message = message.replace("Input should be", "must be").replace("Input should", "must")
    for said, meant in (("String should", "must"), ("an object", "a mapping"), ("a valid array", "a list")):
        message = message.replace(said, meant)
    return f"{dotted} {message}, got {_kind(details[0]['input'])}"


def _other_branch(loc: tuple[int | str, ...], tree: dict[str, Any]) -> bool:
    """Whether an error speaks of the alternative of a union that the value was not meant for."""
    return loc[:1] == ("base",) and len(loc) > 1 and (loc[1] == "str") == isinstance(tree.get("base"), dict)


def _key_path(loc: tuple[int | str, ...], tree: Any) -> list[str]:
    """pydantic's location without the names of a union's alternatives, which are no keys of the file."""
    path: list[str] = []
    for index, part in enumerate(loc):
        known = isinstance(tree, dict) and part in tree or isinstance(tree, list) and isinstance(part, int)
        if known:
            path.append(str(part))
            tree = tree[part]
        elif index == len(loc) - 1 and isinstance(tree, dict):
            path.append(str(part))
    return path


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return names.get(type(value)) or repr(value)


def _unknown_key(schema: type[Leaf], path: list[str]) -> str:
    keys = dict(_keys(schema))
    level = ".".join(path[:-1])
    siblings = [key for key, parent in keys.items() if parent == level]
    names = [key.rpartition(".")[2] for key in siblings]
    here = difflib.get_close_matches(path[-1], names, n=1)
    near = [f"{level}.{here[0]}" if level else here[0]] if here else []
    # Right name, wrong place: `learning_rate` at the root, `gate.looks` misplaced under `train`.
    same_name = [key for key in keys if key.rpartition(".")[2] == path[-1]]
    near = near or sorted(same_name, key=lambda key: key.count("."))[:1]
    elsewhere = [key for key in keys if not level.startswith(key)]
    near = near or difflib.get_close_matches(".".join(path), elsewhere, n=1, cutoff=0.75)
    if near:
        return f"unknown key {'.'.join(path)}; did you mean {near[0]}?"
    return f"unknown key {'.'.join(path)}; allowed {'in ' + level if level else 'here'}: {', '.join(names)}"


def _keys(model: type[BaseModel], level: str = "") -> Iterator[tuple[str, str]]:
    """Every key of the schema with the path of the mapping it belongs to."""
    for name, field in model.model_fields.items():
        key = f"{level}.{name}" if level else name
        yield key, level
        kinds = (
            get_args(field.annotation)
            if get_origin(field.annotation) in (Union, UnionType)
            else (field.annotation,)
        )
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _keys(kind, key)
