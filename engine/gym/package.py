"""The package reasoning-gym, imported without what no served dataset needs; settings of its datasets."""

import difflib
import importlib
import importlib.metadata
import importlib.util
import json
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from types import ModuleType
from typing import Any

from engine.errors import Mistake
from engine.gym.served import NOT_SERVED, SERVED, VERSION

_OURS = ("seed", "size")
"""Parameters of every dataset that a config cannot set: which entries are drawn is ours to say."""
_STAND_INS = ("cellpylib", "pycosat", "zss")
"""Packages that only datasets of `NOT_SERVED` call, but that reasoning-gym imports."""


class GymError(Mistake):
    """A dataset or a parameter that reasoning-gym does not have, or cannot use."""


@cache
def datasets() -> Mapping[str, tuple[type[Any], type[Any]]]:
    """Every dataset that the package registers: its class and that of its config. Raises GymError."""
    missing = [name for name in _STAND_INS if name not in sys.modules and not importlib.util.find_spec(name)]
    try:
        with _stand_ins(missing):
            factory = importlib.import_module("reasoning_gym.factory")
    except ModuleNotFoundError as error:
        raise GymError(
            f"task gym needs the package {error.name}, which is not installed: `make setup` installs it, "
            "and so does `pip install '.[gym]'` at the root of the repository"
        ) from None
    if (found := importlib.metadata.version("reasoning-gym")) != VERSION:
        raise GymError(
            f"task gym needs reasoning-gym {VERSION}, whose problems and scorers it knows; got {found}"
        )
    registered: Mapping[str, tuple[type[Any], type[Any]]] = factory.DATASETS
    return registered


@contextmanager
def _stand_ins(names: Iterable[str]) -> Iterator[None]:
    """Empty modules in the place of packages that are not installed, for as long as an import takes."""
    empty = {name: ModuleType(name) for name in names}
    sys.modules.update(empty)
    try:
        yield
    finally:
        for name in empty:
            del sys.modules[name]


def parameters(dataset: str) -> Mapping[str, Any]:
    """The parameters of a dataset that a config can set, with their defaults. Raises GymError."""
    config = datasets()[served(dataset)][1]()
    return {field.name: getattr(config, field.name) for field in fields(config) if field.name not in _OURS}


def served(dataset: str) -> str:
    """The name itself. Raises GymError where no such dataset serves."""
    if dataset in NOT_SERVED:
        raise GymError(f"the dataset {dataset} does not serve: {NOT_SERVED[dataset]}")
    if dataset not in SERVED:
        raise GymError(
            f"reasoning-gym has no dataset '{dataset}'{_nearest(dataset, SERVED)}; "
            "`python -m engine.gym` lists those that serve"
        )
    return dataset


def spread(dataset: str, settings: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Settings by the names of parameters: ``x`` sets both ``min_x`` and ``max_x``, where there is no ``x``.

    Raises GymError for what is no parameter, and for one that is set twice.
    """
    known = parameters(dataset)
    found: dict[str, Any] = {}
    for name, value in settings:
        pair = (f"min_{name}", f"max_{name}")
        names = (name,) if name in known else pair if set(pair) <= set(known) else ()
        if not names:
            ranges = [key[4:] for key in known if key.startswith("min_") and f"max_{key[4:]}" in known]
            near = _nearest(name, [*known, *ranges])
            raise GymError(
                f"'{name}' is no parameter of {dataset}{near}; it has {', '.join(known) or 'none'}"
            )
        for each in names:
            if each in found:
                raise GymError(f"'{name}' sets {each} of {dataset}, which is set already")
            found[each] = value
    return found


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


def build(dataset: str, settings: str, seed: int = 0) -> Any:
    """A dataset with its settings, which are JSON: parameter -> value; those not given keep their defaults.

    Raises GymError where reasoning-gym has no such dataset, or refuses the settings.
    """
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    kind, config_kind = datasets()[served(dataset)]
    types = typing.get_type_hints(config_kind)
    chosen: dict[str, Any] = {}
    for name, value in json.loads(settings).items():
        try:
            kind_of_value = TypeAdapter(types[name], config=ConfigDict(strict=True))
            chosen[name] = kind_of_value.validate_json(json.dumps(value))
        except PydanticUserError:  # a dataclass of its own
            raise GymError(f"{name} of {dataset} cannot be set from a config") from None
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]["msg"].replace("Input should", "must")
            raise GymError(f"{name} of {dataset} {wrong}, got {value!r:.60}") from None
    try:
        return kind(config_kind(**chosen, seed=seed, size=1 if SERVED[dataset].by_seed else 2**31))
    except Exception as error:  # noqa: BLE001 - its checks are assertions, and what a bad value breaks is open
        said = " ".join(str(error).split()) or type(error).__name__
        raise GymError(f"reasoning-gym refuses {chosen} for {dataset}: {said:.200}") from None
