"""YAML and `key=value` overrides into one checked `Config`; every mistake is one sentence.

python -c "from configs.load import load, dump; print(dump(load('configs/quickstart.yaml')))"
"""

import difflib
import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from configs.schema import Config, Leaf, RunId

T = TypeVar("T", bound=Leaf)
DEEPSPEED_DIR = Path(__file__).parent / "deepspeed"


class ConfigError(ValueError):
    """A config that cannot be used: what was wrong, what was got, what is allowed."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, numbers that are not finite and text that no file name can
    hold, and reads 3e-4 as a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is not text", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and (found := re.search(r"[\x00\ud800-\udfff]", value)):
            problem = f"text must not hold the character {ascii(found[0])}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return value

    def construct_number(self, node: yaml.ScalarNode) -> float:
        value = float(super().construct_yaml_float(node))
        if not math.isfinite(value):
            problem = f"{node.value} is not a finite number"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return value


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)
# YAML 1.1 takes 3e-4 for text: its floats need a dot.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load(path: str | Path, overrides: list[str] | None = None) -> Config:
    """A campaign's config file with overrides such as ``train.learning_rate=1e-4`` applied, left to right.

    Raises ConfigError for a missing or broken file (with its line), an unknown key (with its full
    path and the nearest valid one), and a value of the wrong type or out of range.
    """
    tree = _told(path, overrides)
    if {"campaign", "space"} <= tree.keys():
        raise ConfigError(
            f"config {path} is a sweep's, no campaign's: `ratchet sweep {path}` runs it, and on a cluster "
            f"`ratchet submit --sweep {path}`"
        )
    return from_tree(tree, str(path))


def load_as(schema: type[T], path: str | Path, overrides: list[str] | None = None) -> T:
    """As `load`, of a file that says another thing than a campaign. Raises ConfigError."""
    return validate(schema, _told(path, overrides), str(path))


def _told(path: str | Path, overrides: list[str] | None) -> dict[str, Any]:
    tree = parse_file(path)
    for override in overrides or []:
        _apply(tree, override)
    return tree


def parse_file(path: str | Path) -> dict[str, Any]:
    """The plain tree of values that a YAML file holds. Raises ConfigError."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(_no_file(path)) from None
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"config {path} cannot be read: {error}") from None
    tree = _parse(text, f"config {path}")
    if not isinstance(tree, dict):
        raise ConfigError(f"config {path} must be a mapping of keys to values, got {_kind(tree)}")
    return tree


def from_tree(tree: dict[str, Any], source: str) -> Config:
    """A campaign's config from a plain tree of values; `source` names it in errors. Raises ConfigError."""
    return _checked(validate(Config, tree, source), source)


def validate(schema: type[T], tree: dict[str, Any], source: str) -> T:
    """Check a plain tree of values against any schema; `source` names it in errors. Raises ConfigError."""
    try:
        # Through JSON, because strict JSON validation neither takes `yes` for a number nor "8" for one.
        return schema.model_validate_json(json.dumps(tree, default=str), strict=True)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_explain(schema, error, tree)}") from None
    except ValueError as error:
        raise ConfigError(f"{source} must not hold an alias of what it stands in: {error}") from None


class _Named(Leaf):
    run_id: RunId


def require_run_id(run_id: str, source: str) -> str:
    """One that no config says; `source` names where it is from. Raises ConfigError."""
    return validate(_Named, {"run_id": run_id}, source).run_id


def _checked(config: Config, source: str) -> Config:
    """What only a whole campaign's config shows to be wrong."""
    if config.sampler.max_new_tokens >= config.sampler.max_model_len:
        raise ConfigError(
            f"{source}: sampler.max_new_tokens must leave room for the prompt, "
            f"got {config.sampler.max_new_tokens} of sampler.max_model_len {config.sampler.max_model_len}"
        )
    for key, train in (
        ("train", config.train),
        ("warm_start.train", config.warm_start and config.warm_start.train),
    ):
        files = sorted(file.name for file in DEEPSPEED_DIR.glob("*.json"))
        if train and train.deepspeed is not None and train.deepspeed not in files:
            raise ConfigError(
                f"{source}: {key}.deepspeed must be one of {', '.join(files)}, got {train.deepspeed!r}"
            )
    return config


def dump(config: Config) -> str:
    """The resolved config as YAML, every default written out; `load` reads it back to an equal config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def config_hash(config: Config) -> str:
    """SHA-256 of the resolved config, whatever the order and spelling in its file. `run_id` is left out."""
    content = config.model_dump(mode="json", exclude={"run_id"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _parse(text: str, what: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{what} is not valid YAML{where}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{what} is not valid YAML: {str(error).splitlines()[0]}") from None


def _no_file(path: Path) -> str:
    shipped = sorted(str(file) for file in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    near = difflib.get_close_matches(str(path), shipped, n=1) or difflib.get_close_matches(
        f"{path}.yaml", shipped, n=1, cutoff=0.9
    )
    hint = f"; did you mean {near[0]}?" if near else (f"; there are {', '.join(shipped)}" if shipped else "")
    return f"config {path} does not exist{hint}"


def _apply(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(
            f"override {override!r} must look like key=value, for example train.learning_rate=1e-4"
        )
    node = tree
    for depth, part in enumerate(parts[:-1], 1):
        if node.get(part) is None:
            node[part] = {}
        node = node[part]
        if not isinstance(node, dict):
            raise ConfigError(
                f"override {override!r}: {'.'.join(parts[:depth])} is {node!r} and has no keys below it"
            )
    node[parts[-1]] = _parse(text, f"the value of override {override!r}")


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
