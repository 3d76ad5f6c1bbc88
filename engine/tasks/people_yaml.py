"""A user's own people: what is true of them, and how they are asked about, from two YAML files.

    people:     people: [{id, name, facts: {...}, wrong_dates: {...}}]
    templates:  templates: {key: {questions, answer, keywords}}, extractors: {key: {path: facts.birth.year}}

An extractor says where the value of an attribute stands in a person's ``facts``; a value that stands under
the name of a built-in attribute needs none. A template words an attribute; what asks for no single value is
left out, with a sentence that says so.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from engine.people.attributes import ATTRIBUTES, named
from engine.people.templates import Template, attribute_of, fits, reads_of, sorted_out, words_of
from engine.people.wordings import Wordings
from engine.records import Fact
from engine.tasks.suite import DataError

_STEP = re.compile(r"(\w+)((?:\[\d+\])*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPerson:
    """A person of a user's own."""

    id: str
    name: str
    facts: tuple[Fact, ...]
    wrong: tuple[Fact, ...]
    """Values that the person does not have, for false premises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPeople:
    """What two files say."""

    people: tuple[OwnPerson, ...]
    wordings: Wordings
    notes: tuple[str, ...] = ()
    """What could not be used, in a sentence for each file and reason."""


def read_people(people: Path, templates: Path | None) -> OwnPeople:
    """The people of a file, and the wordings of another. Raises DataError for what cannot be read."""
    tree = _mapping(people)
    entries = tree.get("people")
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{people}: 'people' must be a list of people, got {_shown(entries)}")
    words = _mapping(templates) if templates else {}
    paths = _paths(words, templates)
    worded = list(_templates(words, templates))
    asked, left_out = sorted_out(worded, paths)
    # An extractor that only completes an answer or a keyword is no fact by itself.
    facts = {key: path for key, path in paths.items() if key in asked or key in ATTRIBUTES}
    found = [_person(entry, facts, f"{people}, person {place}") for place, entry in enumerate(entries, 1)]
    persons = [person for person, _, _ in found]
    ids, names = Counter(each.id for each in persons), Counter(each.name.casefold() for each in persons)
    for person in persons:
        if ids[person.id] > 1:
            raise DataError(f"{people}: two people have the id '{person.id}'")
        if names[person.name.casefold()] > 1:
            raise DataError(f"{people}: two people have the name '{person.name}'; capitals do not count")
    if not any(person.facts for person in persons):
        raise DataError(f"{people}: no fact is found by an extractor or under the name of an attribute")
    notes: list[str] = []
    if unused := dict.fromkeys(path for _, left, _ in found for path in left):
        few = ", ".join(list(unused)[:4])
        notes.append(
            f"{people.name}: {len(unused)} entries of facts, such as {few}, are named by no extractor and no "
            "attribute, so nothing asks for them"
        )
    if idle := dict.fromkeys(key for _, _, left in found for key in left):
        notes.append(
            f"{people.name}: wrong_dates of {', '.join(idle)} are of no fact that is asked for, so they make "
            "no false premises"
        )
    values: dict[str, list[str]] = {}
    for person in persons:
        for fact in person.facts:
            values.setdefault(fact.attribute, []).append(fact.value)
    attributes = {key: ATTRIBUTES.get(key) or attribute_of(key, known) for key, known in values.items()}
    own = {
        key: replace(words_of(attribute, asked.get(key, ())), reads=reads_of(worded, key))
        for key, attribute in attributes.items()
    }
    if templates and left_out:
        notes.append(f"{templates.name}: left out: {'; '.join(left_out)}")
    return OwnPeople(people=tuple(persons), wordings=Wordings(attributes, own), notes=tuple(notes))


class _Loader(yaml.SafeLoader):
    """Dates stay texts: ``1961-08-04`` is a value like ``August 4, 1961``."""


def _written(loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _written)


def _mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds. Raises DataError."""
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        # Nothing may hold itself, which an alias can make it do.
        json.dumps(tree, default=str, skipkeys=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not valid UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise DataError(f"{path}{where}: not valid YAML: {getattr(error, 'problem', error)}") from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise DataError(f"{path}: must hold a mapping, got {_shown(tree)}")
    return tree


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:60]


def _paths(words: Mapping[str, Any], file: Path | None) -> dict[str, str]:
    """Where the values of attributes stand, by the extractors. Raises DataError for one that is no path."""
    paths = {}
    for key, extractor in _section(words, "extractors", file).items():
        path = extractor.get("path") if isinstance(extractor, dict) else None
        if not isinstance(path, str) or not all(_STEP.fullmatch(step) for step in path.split(".")):
            raise DataError(
                f"{file}: extractor {key} must have a path such as facts.birth.year, got {_shown(path)}"
            )
        paths[str(key)] = path
    return paths


def _section(words: Mapping[str, Any], name: str, file: Path | None) -> dict[Any, Any]:
    section = words.get(name, {})
    if not isinstance(section, dict):
        raise DataError(f"{file}: '{name}' must be a mapping, got {_shown(section)}")
    return section


def _templates(words: Mapping[str, Any], file: Path | None) -> Iterator[Template]:
    for key, entry in _section(words, "templates", file).items():
        questions = entry.get("questions") if isinstance(entry, dict) else None
        answer = entry.get("answer") if isinstance(entry, dict) else None
        keywords = entry.get("keywords") if isinstance(entry, dict) else None
        if not isinstance(questions, list) or not questions or not isinstance(answer, str):
            raise DataError(
                f"{file}: template {key} must have a list of questions and an answer, got {_shown(entry)}"
            )
        yield Template(
            key=str(key),
            questions=tuple(map(str, questions)),
            answer=answer,
            keywords=tuple(map(str, keywords if isinstance(keywords, list) else [])),
        )


def _person(entry: Any, paths: Mapping[str, str], where: str) -> tuple[OwnPerson, list[str], list[str]]:
    """A person, the places of facts that are not used, and wrong values of no fact. Raises DataError."""
    if not isinstance(entry, dict):
        raise DataError(f"{where}: must be a mapping with id, name and facts, got {_shown(entry)}")
    name, facts = entry.get("name"), entry.get("facts")
    if not isinstance(name, str) or not name.strip() or not isinstance(facts, dict):
        raise DataError(f"{where}: must have a name and facts, got {_shown(entry)}")
    name = " ".join(name.split())
    values, used = {}, set()
    for key, path in paths.items():
        if (value := _value_at(entry, path)) is not None:
            values[key] = value
            used.add(path)
    unused = []
    for path, leaf in _leaves(facts, "facts"):
        key = _named_by(path, leaf)
        if path in used or "keywords" in path:
            continue
        if key:
            values.setdefault(key, str(leaf))
        else:
            unused.append(path.removeprefix("facts."))
    wrong = entry.get("wrong_dates")
    wrong = wrong if isinstance(wrong, dict) else {}
    false = [
        Fact(subject=name, attribute=key, value=str(value))
        for key, listed in ((str(key), each) for key, each in wrong.items())
        for value in (listed if isinstance(listed, list) else [listed])
        if key in values and str(value) != values[key]
    ]
    person = OwnPerson(
        id=str(entry.get("id", name)),
        name=name,
        facts=tuple(Fact(subject=name, attribute=key, value=value) for key, value in values.items()),
        wrong=tuple(false),
    )
    return person, unused, [str(key) for key in wrong if str(key) not in values]


def _named_by(path: str, leaf: Any) -> str:
    """The built-in attribute that the last names of a path mean; empty where the value is none of it."""
    steps = [step for step in re.split(r"\.|\[\d+\]", path) if step][-2:]
    key = named(" ".join(steps)) or named(steps[-1])
    return key if key and isinstance(leaf, str | int) and fits(ATTRIBUTES[key].kind, str(leaf)) else ""


def _value_at(tree: Any, path: str) -> str | None:
    """The value at a path such as ``facts.awards[0].name``; None where there is none."""
    for step in path.split("."):
        match = _STEP.fullmatch(step)
        assert match, "paths were checked"
        for key in (match[1], *map(int, re.findall(r"\d+", match[2]))):
            try:
                tree = tree[key]
            except (KeyError, IndexError, TypeError):
                return None
    return " ".join(str(tree).split()) if isinstance(tree, str | int | float) else None


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}")
    elif isinstance(tree, list):
        for place, value in enumerate(tree):
            yield from _leaves(value, f"{path}[{place}]")
    else:
        yield path, tree
