"""YAML and `key=value` overrides into one checked `Config`; every mistake is one sentence.

python -c "from configs.load import load, dump; print(dump(load('configs/quickstart.yaml')))"
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from configs.base import Leaf, RunId
from configs.explain import describe, explain, no_file
from configs.schema import Config
from configs.serving import Serving
from configs.tasks import RECORD_FILES, TEXT_FILES, how_to_use
from engine.errors import Mistake

T = TypeVar("T", bound=Leaf)
DEEPSPEED_DIR = Path(__file__).parent / "deepspeed"


class ConfigError(Mistake):
    """A config cannot be used; the message says what was wrong, what was got and what is allowed."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 3e-4 as a number.

    It refuses a key that is given twice, a number that is not finite, and text that no file name can hold.
    """

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
# In YAML 1.1 a float needs a dot, so 3e-4 would be text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load(path: str | Path, overrides: list[str] | None = None) -> Config:
    """A campaign's config file with overrides such as ``loop.samples=8`` applied, left to right.

    Raises ConfigError for a missing or broken file (with its line), an unknown key (with its full path and
    the nearest valid one), and a value of the wrong type or out of range.
    """
    tree = _read(path, overrides)
    if {"campaign", "space"} <= tree.keys():
        raise ConfigError(
            f"config {path} describes a sweep, not a campaign: `ratchet sweep {path}` runs it, and on a "
            f"cluster `ratchet submit --sweep {path}`"
        )
    if {"campaign", "arms"} <= tree.keys():
        raise ConfigError(
            f"config {path} describes an experiment, not a campaign: `ratchet experiment {path}` runs it, "
            f"and on a cluster `ratchet submit --experiment {path}`"
        )
    if "line" in tree and "name" not in tree and tree.keys() <= Serving.model_fields.keys():
        raise ConfigError(
            f"config {path} describes a server, not a campaign: `ratchet serve {path}` starts it, and a "
            f"campaign has a name"
        )
    return from_tree(tree, str(path), overrides or [])


def load_as(schema: type[T], path: str | Path, overrides: list[str] | None = None) -> T:
    """Reads a file of any other schema, as `load` reads a campaign's. Raises ConfigError."""
    return validate(schema, _read(path, overrides), str(path), overrides or [])


def load_from(schema: type[T], tree: dict[str, Any], overrides: Sequence[str], source: str) -> T:
    """A schema from values of `tree` and overrides; `source` names both in errors. Raises ConfigError."""
    for override in overrides:
        _apply(tree, override)
    return validate(schema, tree, source, overrides)


def _read(path: str | Path, overrides: list[str] | None) -> dict[str, Any]:
    tree = parse_file(path)
    for override in overrides or []:
        _apply(tree, override)
    return tree


def parse_file(path: str | Path) -> dict[str, Any]:
    """The plain tree of values that a YAML file holds. Raises ConfigError."""
    path = Path(path)
    if path.suffix in (*RECORD_FILES, *TEXT_FILES):
        raise ConfigError(how_to_use(str(path)))
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(no_file(path)) from None
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"config {path} cannot be read: {error}") from None
    tree = _parse(text, f"config {path}")
    if not isinstance(tree, dict):
        raise ConfigError(f"config {path} must be a mapping of keys to values, got {describe(tree)}")
    return tree


def from_tree(tree: dict[str, Any], source: str, overrides: Sequence[str] = ()) -> Config:
    """A campaign's config from a plain tree of values; `source` names it in errors. Raises ConfigError."""
    return _checked(validate(Config, tree, source, overrides), source)


def validate(schema: type[T], tree: dict[str, Any], source: str, overrides: Sequence[str] = ()) -> T:
    """Checks a plain tree of values against any schema; `source` names it in errors. Raises ConfigError.

    `overrides` are those that the tree already holds; a message about one of them says how to write it.
    """
    try:
        # Through JSON, because strict JSON validation neither takes `yes` for a number nor "8" for one.
        plain = json.loads(json.dumps(tree, default=str))
        return schema.model_validate_json(json.dumps(_at_home(plain)), strict=True)
    except ValidationError as error:
        raise ConfigError(f"{source}: {explain(schema, error, tree, overrides)}") from None
    except ValueError as error:
        raise ConfigError(
            f"{source} must not hold a YAML alias of a mapping inside that mapping: {error}"
        ) from None


def _at_home(value: Any) -> Any:
    """Values with `~/` at the beginning of a text, which is then a path, as a shell reads it."""
    if isinstance(value, dict):
        return {key: _at_home(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_at_home(each) for each in value]
    return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~/") else value


class _Named(Leaf):
    run_id: RunId


def require_run_id(run_id: str, source: str) -> str:
    """Returns a run id that comes from outside a config, if it is valid; `source` names its origin.

    Raises ConfigError.
    """
    return validate(_Named, {"run_id": run_id}, source).run_id


def _checked(config: Config, source: str) -> Config:
    """Refuses what only a campaign's whole config shows to be wrong."""
    if config.sampler.max_new_tokens >= config.sampler.max_model_len:
        raise ConfigError(
            f"{source}: sampler.max_new_tokens must leave room for the prompt, "
            f"got {config.sampler.max_new_tokens} of sampler.max_model_len {config.sampler.max_model_len}"
        )
    # A warm start that does not run is checked too, so that `start=base` does not uncover mistakes.
    first = {"warm_start.train": config.warm_start.train} if config.warm_start else {}
    files = sorted(file.name for file in DEEPSPEED_DIR.glob("*.json"))
    for key, train in {**first, **config.loop.trains}.items():
        if train.deepspeed is not None and train.deepspeed not in files:
            raise ConfigError(
                f"{source}: {key}.deepspeed must be one of {', '.join(files)}, got {train.deepspeed!r}"
            )
    return config


def dump(config: Config) -> str:
    """The resolved config as YAML, every default written out; `load` reads it back to an equal config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def config_hash(config: Config) -> str:
    """SHA-256 of the resolved config without `run_id`; order and spelling in its file do not matter."""
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


def _apply(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override {override!r} must look like key=value, for example loop.samples=8")
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
