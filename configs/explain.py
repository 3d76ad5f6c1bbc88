"""What is wrong with a config, in one sentence."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.base import OWN, Leaf
from configs.keys import Choice, Key, KeyPlace, choice_elsewhere, keys_of, locate
from configs.tasks import RECORD_FILES, TEXT_FILES, how_to_use


def explain(
    schema: type[Leaf], error: ValidationError, tree: dict[str, Any], overrides: Sequence[str] = ()
) -> str:
    """The sentence for the most telling error of a config; `tree` is the file with its overrides applied."""
    found = [(detail, locate(schema, detail["loc"], tree)) for detail in error.errors(include_url=False)]
    found = [each for each in found if each[1].meant] or found
    # An unknown key first: a mistyped key is often also the reason why another one is missing.
    detail, place = min(found, key=lambda each: each[0]["type"] != "extra_forbidden")
    kind, dotted, given = detail["type"], ".".join(place.path), detail["input"]
    if kind == "extra_forbidden":
        return _unknown_key(schema, place, tree, overrides)
    if kind == "missing":
        return f"key {dotted} is missing"
    if place.choice and (records := _records_in(place.choice, given)):
        return how_to_use(records)
    if kind == "union_tag_invalid" and place.choice:
        return _unknown_choice(place.choice, given[place.choice.key])
    if kind == "model_type" and place.choice and isinstance(given, str):
        mapping = f"{{{place.choice.key}: {_named(place.choice, given)}}}"
        return f"{dotted} must be a mapping, got {given!r}: write {place.path[-1]}: {mapping}"
    if place.choices and place.path == (*place.choices[-1].path, place.choices[-1].key):
        return _unknown_choice(place.choices[-1], given)
    if kind == "too_short" and detail["ctx"]["min_length"] == 1:
        return f"{dotted} must not be empty"
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return f"{dotted}: {message}" if dotted else message
    message = message.replace("Input should be", "must be").replace("Input should", "must")
    for theirs, ours in (("String should", "must"), ("an object", "a mapping"), ("a valid array", "a list")):
        message = message.replace(theirs, ours)
    return f"{dotted} {message}, got {describe(given)}"


def describe(value: Any) -> str:
    """A value in a message: scalars are shown, anything larger is named by its kind."""
    names = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return names.get(type(value)) or repr(value)


def no_file(path: Path) -> str:
    """The sentence for a config file that does not exist, with the nearest name that does."""
    shipped = sorted(str(file) for file in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    near = difflib.get_close_matches(str(path), shipped, n=1) or difflib.get_close_matches(
        f"{path}.yaml", shipped, n=1, cutoff=0.9
    )
    hint = f"; did you mean {near[0]}?" if near else (f"; there are {', '.join(shipped)}" if shipped else "")
    return f"config {path} does not exist{hint}"


def _unknown_choice(choice: Choice, given: Any) -> str:
    names = [repr(tag) for tag in choice.alternatives if tag != OWN]
    allowed = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
    if OWN in choice.alternatives:
        allowed += f", or the path of a .py file with a {choice.noun} of your own"
    return f"{'.'.join((*choice.path, choice.key))} must be {allowed}, got {describe(given)}"


def _records_in(choice: Choice, given: Any) -> str:
    """The file of data that stands where a task is to be named; empty where none does."""
    name = given.get(choice.key) if isinstance(given, dict) else given
    is_task = choice.path[-1:] == ("task",)
    return name if is_task and isinstance(name, str) and name.endswith((*RECORD_FILES, *TEXT_FILES)) else ""


def _named(choice: Choice, given: str) -> str:
    """The name to suggest where a bare name stands for the mapping: the default if it is unknown."""
    return given if given in choice.alternatives or given.endswith(".py") else choice.tag


def _unknown_key(schema: type[Leaf], place: KeyPlace, tree: dict[str, Any], overrides: Sequence[str]) -> str:
    name, dotted, level = place.path[-1], ".".join(place.path), ".".join(place.path[:-1])
    keys = list(keys_of(schema, tree))
    siblings = [key.name for key in keys if key.level == level]
    written, colon, value_of = name.partition(":")
    if colon and written in siblings:
        return f"unknown key {dotted}: a blank must follow the colon, as in {written}: {value_of}"
    # A file of the user's own reads its settings itself, whatever they are.
    own_settings = "settings" in siblings and place.choices and place.choices[-1].tag == OWN
    if not own_settings:
        other = choice_elsewhere(schema, place.path[:-1], tree)
        choices = (*([other] if other else []), *place.choices)
        if sentence := _of_another(place, choices, tree, overrides):
            return sentence
    # At the root, where `train` is often misplaced, it is not meant to be `transfer`.
    if near := difflib.get_close_matches(name, siblings, n=1, cutoff=0.6 if level else 0.65):
        return f"unknown key {dotted}; did you mean {level}{'.' if level else ''}{near[0]}?"
    if own_settings:
        return f"unknown key {dotted}; did you mean {level}.settings.{name}?"
    value: Any = tree
    for part in place.path:
        value = value[int(part) if isinstance(value, list) else part]
    if isinstance(value, dict) and (moved := _moved(keys, place.path, value)):
        return f"unknown key {moved[0]}; did you mean {moved[1]}?"
    # Right name, wrong place: `learning_rate` at the root, `looks` misplaced under `loop.train`.
    same_name = sorted((key for key in keys if key.name == name), key=_likelihood)
    elsewhere = [key.path for key in keys if key.level != level and not level.startswith(key.path)]
    close = [key.path for key in same_name] or difflib.get_close_matches(dotted, elsewhere, n=1, cutoff=0.75)
    if close:
        return f"unknown key {dotted}; did you mean {close[0]}?"
    return f"unknown key {dotted}; allowed {'in ' + level if level else 'here'}: {', '.join(siblings)}"


def _likelihood(key: Key) -> tuple[bool, int]:
    """Sorts keys of one name by how likely each is meant: first those that every config has."""
    return not key.sure, key.path.count(".")


def _of_another(
    place: KeyPlace, choices: Sequence[Choice], tree: Any, overrides: Sequence[str]
) -> str | None:
    """The sentence for a key that another alternative has: another method, or another loop.

    An override that changes only the method leaves the file's keys of the old one, so the sentence then shows
    how to replace the whole training.
    """
    for choice in reversed(choices):
        key = ".".join(place.path[len(choice.path) :])
        others = [
            tag
            for tag, model in choice.alternatives.items()
            if tag not in (choice.tag, OWN) and any(known.path == key for known in keys_of(model, {}))
        ]
        if others:
            taken: Any = tree
            for part in choice.path:
                taken = taken[int(part) if isinstance(taken, list) else part]
            given = taken.get(choice.key, choice.tag)
            nouns = choice.noun if len(others) == 1 else f"{choice.noun}s"
            level, way_out = ".".join(choice.path), ""
            if any(override.startswith(f"{level}.{choice.key}=") for override in overrides):
                way_out = (
                    f"; to change the {choice.noun}, replace the whole {choice.whole}: "
                    f"'{level}={{{choice.key}: {given}, …}}'"
                )
            return (
                f"unknown key {'.'.join(place.path)} with {choice.noun} {given}; {key} is a key of {nouns} "
                f"{' and '.join(others)}{way_out}"
            )
    return None


def _moved(keys: list[Key], path: tuple[str, ...], value: dict[str, Any]) -> tuple[str, str] | None:
    """An unknown mapping, and where the schema has the keys below it; None where it has none of them.

    Keys of an earlier layout are found so: ``propose.samples`` is ``loop.samples`` now. A single key is named
    in full; for several the mapping that knows the most of them is named.
    """
    below: dict[str, list[Key]] = {}
    for key in keys:
        if key.name in value and (key.sure or key.level.rpartition(".")[2] == path[-1]):
            below.setdefault(key.level, []).append(key)
    if len(value) > 1:
        below.pop("", None)
    if not below:
        return None

    def rank(level: str) -> tuple[bool, int, bool, int]:
        same_name = level.rpartition(".")[2] == path[-1]
        return same_name, len(below[level]), below[level][0].sure, -level.count(".")

    best, dotted = max(below, key=rank), ".".join(path)
    if len(value) > 1:
        return dotted, best
    return f"{dotted}.{next(iter(value))}", below[best][0].path
