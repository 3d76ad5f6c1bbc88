"""The keys that a schema knows, and the way of an error through it.

pydantic locates an error by keys of the file mixed with names of a union's alternatives. `locate` follows
such a location through the schema and tells the two apart.
"""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, Discriminator, Tag

Kind = Any
"""A type as annotated: a class, a union, a container, or one of them inside `Annotated`."""


class Choice(NamedTuple):
    """A union in which a key of the file chooses the alternative."""

    path: tuple[str, ...]
    """Keys that lead to it."""
    tag: str
    """The alternative taken: the default where the file names none or one that is not known."""
    alternatives: Mapping[str, type[BaseModel]]
    """Tag to model."""

    @property
    def key(self) -> str:
        """The key that chooses: ``name`` of a loop, ``method`` of a training."""
        return next(
            name
            for tag, model in self.alternatives.items()
            for name, field in model.model_fields.items()
            if tag in get_args(field.annotation)
        )

    @property
    def noun(self) -> str:
        """The word for the thing that is chosen: loop or method."""
        return self.path[-1] if self.key == "name" else self.key

    @property
    def whole(self) -> str:
        """The word for the mapping in which it is chosen: loop or training."""
        return self.path[-1] if self.key == "name" else "training"


class KeyPlace(NamedTuple):
    """Where an error is."""

    path: tuple[str, ...]
    """Keys of the file."""
    choices: tuple[Choice, ...]
    """The unions on the way and the one at its end, the outermost first."""
    meant: bool
    """False where the error is about an alternative that the value cannot have been meant for."""

    @property
    def choice(self) -> Choice | None:
        """The union that the place itself is."""
        return self.choices[-1] if self.choices and self.choices[-1].path == self.path else None


class Key(NamedTuple):
    """A key that the schema knows."""

    path: str
    level: str
    """Path of the mapping that it belongs to."""
    sure: bool
    """False below a mapping that may be null, such as the warm start."""

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


def locate(schema: type[BaseModel], location: tuple[int | str, ...], tree: Any) -> KeyPlace:
    """Where in the file an error is; `tree` is what the file holds."""
    path: list[str] = []
    choices: list[Choice] = []
    kind, discriminator = _bare(schema)
    meant = True
    for part in location:
        if discriminator:
            choices.append(Choice(tuple(path), str(part), _alternatives(kind)))
            kind = choices[-1].alternatives[str(part)]
        elif _is_union(kind):
            kind = next((each for each in get_args(kind) if getattr(each, "__name__", "") == part), Any)
            meant = meant and _is_model(kind) == isinstance(tree, dict)
        else:
            path.append(str(part))
            kind = _below(kind, part)
            here = isinstance(tree, dict) and part in tree or isinstance(tree, list) and isinstance(part, int)
            tree = tree[part] if here else None
        kind, discriminator = _bare(kind)
    if discriminator:
        choices.append(Choice(tuple(path), _tag(discriminator, {}), _alternatives(kind)))
    return KeyPlace(tuple(path), tuple(choices), meant)


def keys_of(model: type[BaseModel], tree: Any, level: str = "", sure: bool = True) -> Iterator[Key]:
    """Every key of a schema; of a union those of the alternative that `tree` chooses there."""
    for name in model.model_fields:
        key, kind = f"{level}.{name}" if level else name, _annotation(model, name)
        yield Key(key, level, sure)
        always = sure and type(None) not in get_args(kind)
        for each in _models(kind, tree.get(name) if isinstance(tree, dict) else None):
            yield from keys_of(each, tree.get(name) if isinstance(tree, dict) else None, key, always)


def choice_elsewhere(schema: type[BaseModel], path: tuple[str, ...], tree: Any) -> Choice | None:
    """The union that has the model of a mapping among its alternatives, for a place that takes only this one.

    A warm start takes only the supervised methods, a loop's training takes any. None where there is no such
    union, or `path` does not lead to one model.
    """
    models: list[type[BaseModel]] = [schema]
    for part in path:
        kinds = [_annotation(model, part) for model in models if part in model.model_fields]
        tree = tree.get(part) if isinstance(tree, dict) else None
        models = [each for kind in kinds for each in _models(kind, tree)]
    for alternatives in _unions(schema) if path else ():
        for tag, model in alternatives.items():
            if models == [model]:
                return Choice(path, tag, alternatives)
    return None


def _unions(kind: Kind) -> Iterator[Mapping[str, type[BaseModel]]]:
    """The alternatives of every union in which a key chooses, at any depth."""
    kind, discriminator = _bare(kind)
    below: list[Kind]
    if discriminator:
        yield _alternatives(kind)
        below = list(_alternatives(kind).values())
    elif _is_union(kind):
        below = [each for each in get_args(kind) if _is_model(each)]
    else:
        below = [_annotation(kind, name) for name in kind.model_fields] if _is_model(kind) else []
    for each in below:
        yield from _unions(each)


def _models(kind: Kind, value: Any) -> list[type[BaseModel]]:
    """The models that a value may be read as; where a key chooses one, that one or the default."""
    kind, discriminator = _bare(kind)
    if discriminator:
        alternatives = _alternatives(kind)
        chosen = alternatives.get(_tag(discriminator, value if isinstance(value, dict) else {}))
        return [chosen or alternatives[_tag(discriminator, {})]]
    if _is_union(kind):
        return [model for each in get_args(kind) for model in _models(each, value)]
    return [kind] if _is_model(kind) else []


def _bare(kind: Kind) -> tuple[Kind, Discriminator | None]:
    """A kind without `Annotated` and without None, and what chooses among its alternatives."""
    discriminator = None
    while True:
        if get_origin(kind) is Annotated:
            kind, *metadata = get_args(kind)
            discriminator = next(
                (each for each in metadata if isinstance(each, Discriminator)), discriminator
            )
        elif (
            _is_union(kind) and len(rest := [each for each in get_args(kind) if each is not type(None)]) == 1
        ):
            kind = rest[0]
        else:
            return kind, discriminator


def _alternatives(kind: Kind) -> Mapping[str, type[BaseModel]]:
    """The models of a tagged union."""
    tagged = [get_args(each) for each in get_args(kind) if get_origin(each) is Annotated]
    return {each.tag: model for model, *metadata in tagged for each in metadata if isinstance(each, Tag)}


def _tag(discriminator: Discriminator, value: dict[str, Any]) -> str:
    assert callable(discriminator.discriminator), "configs.base.by makes them"
    return str(discriminator.discriminator(value))


def _below(kind: Kind, part: int | str) -> Kind:
    """The kind of what stands at a key of a mapping, or at a place of a list."""
    if _is_model(kind):
        return _annotation(kind, str(part)) if part in kind.model_fields else Any
    arguments = get_args(kind)
    return arguments[-1] if arguments else Any


def _annotation(model: type[BaseModel], name: str) -> Kind:
    """A field's annotation with its metadata, which pydantic keeps apart."""
    field = model.model_fields[name]
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _is_union(kind: Kind) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _is_model(kind: Kind) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
