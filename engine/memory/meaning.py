"""Which attribute a name means, across wordings: ``year of birth``, ``hometown``, ``plays``."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from engine.embeddings import Embed
from engine.people.attributes import Attribute, named

if TYPE_CHECKING:
    import numpy as np

_ALIKE = 0.62
"""Cosine of the embeddings of two names from which on they may mean one attribute."""
_APART = 0.04
"""How much more a name must be like one attribute than like any other."""


class Meanings:
    """The attributes in use by all their names, and by what is like these names."""

    def __init__(self, attributes: Mapping[str, Attribute], embed: Embed | None = None) -> None:
        self._attributes, self._embed = attributes, embed
        self._found: dict[str, str] = {}

    def key(self, name: str) -> str:
        """The key of the attribute that a name means; empty where no attribute, or more than one, fits."""
        if name not in self._found:
            self._found[name] = named(name, self._attributes) or self._nearest(name)
        return self._found[name]

    @cached_property
    def _names(self) -> list[tuple[str, str]]:
        return [
            (key, name)
            for key, attribute in self._attributes.items()
            for name in (attribute.title, *attribute.aliases)
        ]

    @cached_property
    def _vectors(self) -> "np.ndarray":
        assert self._embed is not None
        return self._embed([name for _, name in self._names])

    def _nearest(self, name: str) -> str:
        if self._embed is None or not name.strip():
            return ""
        cosines = (self._vectors @ self._embed([name.replace("_", " ")])[0]).tolist()
        best: dict[str, float] = {}
        for (key, _), cosine in zip(self._names, cosines, strict=True):
            best[key] = max(cosine, best.get(key, -1.0))
        (first, near), *others = sorted(best.items(), key=lambda each: -each[1])
        second = others[0][1] if others else -1.0
        return first if near >= _ALIKE and near - second >= _APART else ""
