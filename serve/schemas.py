"""Checks of JSON schemas, patterns and grammars, before an engine is made to compile them.

vLLM's compiler (xgrammar) leaves some keywords of JSON Schema out without a word. A schema with one of them
is refused by name, because an answer need not fit it. It compiles most schemas within a second, but small
ones can take minutes: each distinct bound on the length of a text takes up to two seconds of a core, and an
object with many optional properties takes time by the square of their number. So these have limits.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from configs.serving import Limits
from serve.fields import Unserved
from serve.patterns import repetitions

_ENFORCED = frozenset(
    {
        "$ref",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "oneOf",
        "pattern",
        "patternProperties",
        "prefixItems",
        "properties",
        "propertyNames",
        "required",
        "type",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords that restrict what fits; any other is a note."""
_LEFT_OUT = frozenset(
    {
        "$dynamicRef",
        "$recursiveRef",
        "additionalItems",
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "minContains",
        "multipleOf",
        "not",
        "then",
        "uniqueItems",
    }
)
"""Keywords that the compiler would not enforce."""
_ALONE = {
    "$ref": set[str](),
    "anyOf": set(),
    "oneOf": set(),
    "allOf": set(),
    "enum": {"type"},
    "const": {"type"},
}
"""Keywords beside which the compiler reads nothing else, but what is named here."""
_SCHEMA = ("items", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties")
_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_DEFINED = ("$defs", "definitions")
_NAMED_SCHEMAS = ("properties", "patternProperties", *_DEFINED)
"""Keywords that hold a schema, a list of them, or some by name."""
_SLASH = "\N{DIVISION SLASH}"
"""Stands in the name of a definition for a slash, which the compiler reads as the end of the name."""
_FORMATS = frozenset(
    {
        "date",
        "date-time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "json-pointer",
        "relative-json-pointer",
        "time",
        "uri",
        "uri-reference",
        "uri-template",
        "uuid",
    }
)
"""Formats that are enforced. By the standard any other is a note, and it is dropped."""
_MAY_BE_EMPTY = frozenset({"json-pointer", "uri-reference", "uri-template"})
"""Formats that an empty text has."""
_MOST_PROPERTIES = 256
"""The most properties that one object may have."""
_DEAREST = 200
"""A longer bound on a length takes no longer to compile."""


class Structures:
    """Checks the structures of one request against the limits, which bound all of them together."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._num_bytes = self._num_nodes = self._repeats = 0
        self._lengths = set[tuple[Any, Any]]()
        self._places, self._refs = set[str](), list[tuple[str, str]]()
        """Pointers to all schemas within the one that is checked, and its references with their places."""

    def json(self, schema: Any, name: str) -> Any:
        """Return a JSON schema as the compiler takes it. Raises Unserved.

        `name` is the field that holds it.
        """
        if isinstance(schema, str):
            try:
                schema = json.loads(schema)
            except (ValueError, RecursionError):
                raise Unserved(name, "is not JSON") from None
        if not isinstance(schema, dict):
            raise Unserved(name, f"must be a JSON object, got {type(schema).__name__}")
        self._sized(json.dumps(schema), name)
        self._places, self._refs = set(), []
        made = self._node(schema, name, ("#",))
        for at, ref in self._refs:
            # The compiler follows a reference anywhere, also to where nothing has been checked.
            if _pointer(ref) not in self._places:
                raise Unserved(
                    f"{at}.$ref", f"must name a schema of this one, as #/$defs/NAME, got {ref[:80]!r}"
                )
        return made

    def regex(self, pattern: str, name: str) -> str:
        """Return a regular expression that may be compiled. Raises Unserved."""
        self._pattern(pattern, name)
        return pattern

    def choice(self, choices: list[str], name: str) -> list[str]:
        """Return texts of which an answer is one. Raises Unserved."""
        if not choices:
            raise Unserved(name, "holds no text to choose")
        self._sized(json.dumps(choices), name)
        self._counted(len(choices), name)
        return choices

    def grammar(self, grammar: str, name: str) -> str:
        """Return a grammar, where the server takes any. Raises Unserved."""
        if not self._limits.grammars:
            raise Unserved(name, "is not served here: the server's limits.grammars is off")
        self._sized(grammar, name)
        return grammar

    def _sized(self, text: str, name: str) -> None:
        self._num_bytes += len(text.encode())
        if self._num_bytes > (most := self._limits.schema_bytes):
            raise Unserved(name, f"is too large: the structures of a request may have {most} bytes")

    def _counted(self, number: int, name: str) -> None:
        self._num_nodes += number
        if self._num_nodes > (most := self._limits.schema_nodes):
            raise Unserved(
                name,
                f"has too many parts: a request may have {most} schemas, values and choices",
            )

    def _repeated(self, times: int, name: str) -> None:
        self._repeats += times
        if self._repeats > (most := self._limits.schema_repeats):
            raise Unserved(
                name,
                f"takes too long to compile: the distinct lengths of texts (each up to {_DEAREST}) and the "
                f"repetitions in patterns may add up to {most} in a request",
            )

    def _node(self, node: Any, at: str, place: tuple[str, ...]) -> Any:
        """Check one schema and those in it; return it without what the compiler would trip over."""
        if len(place) > self._limits.json_depth:
            raise Unserved(at[:200], f"is nested more than {self._limits.json_depth} levels deep")
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise Unserved(at, f"must be a schema, got {type(node).__name__}")
        self._counted(1, at)
        if not any("/" in step for step in place):  # else the pointer would be read otherwise
            self._places.add("/".join(place))
        made = {key: value for key, value in node.items() if not _is_note(key, node)}
        _require_enforced(made, at)
        self._values(made, at)
        if isinstance(ref := node.get("$ref"), str):
            self._refs.append((at, ref))
            made["$ref"] = _pointer(ref)
        for key in _DEFINED:
            if isinstance(defined := made.get(key), dict):
                made[key] = {name.replace("/", _SLASH): each for name, each in defined.items()}
        for key, value in made.items():
            below = f"{at}.{key}"
            if key in _SCHEMA:
                made[key] = self._node(value, below, (*place, key))
            elif key in _SCHEMAS and isinstance(value, list):
                made[key] = [
                    self._node(each, f"{below}.{number}", (*place, key, str(number)))
                    for number, each in enumerate(value)
                ]
            elif key in _NAMED_SCHEMAS and isinstance(value, dict):
                made[key] = {
                    name: self._node(each, f"{below}.{name[:80]}", (*place, key, name))
                    for name, each in value.items()
                }
        return made

    def _values(self, node: Mapping[str, Any], at: str) -> None:
        """Check what is no schema in a node: its values, lengths and patterns."""
        properties = node.get("properties")
        if isinstance(properties, dict) and len(properties) > _MOST_PROPERTIES:
            raise Unserved(
                at, f"has {len(properties)} properties: an object may have at most {_MOST_PROPERTIES}"
            )
        if isinstance(enum := node.get("enum"), list):
            self._counted(len(enum), f"{at}.enum")
        if "pattern" in node:
            self._pattern(node["pattern"], f"{at}.pattern")
        if isinstance(patterns := node.get("patternProperties"), dict):
            for pattern in patterns:
                self._pattern(pattern, f"{at}.patternProperties")
        lengths = tuple(_number(node.get(key)) for key in ("minLength", "maxLength"))
        if any(lengths) and lengths not in self._lengths:
            self._lengths.add((lengths[0], lengths[1]))
            self._repeated(min(max(lengths), _DEAREST), at)

    def _pattern(self, pattern: Any, at: str) -> None:
        if not isinstance(pattern, str):
            raise Unserved(at, f"must be a regular expression, got {type(pattern).__name__}")
        self._repeated(repetitions(pattern, at), at)


def _pointer(ref: str) -> str:
    """A reference as the compiler reads it, which splits it at its slashes and unescapes nothing."""
    steps = (unquote(step).replace("~1", "/").replace("~0", "~") for step in ref.split("/"))
    return "/".join(step.replace("/", _SLASH) for step in steps)


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value == value and abs(value) < 1e18 else 0


def _is_note(key: str, node: Mapping[str, Any]) -> bool:
    """Whether a keyword of a schema restricts nothing in it, although the compiler refuses it."""
    value, form = node[key], node.get("format")
    has_format = isinstance(form, str) and form in _FORMATS
    if key == "format":
        return not has_format
    if key == "minLength" and has_format:
        # So Pydantic writes a URL.
        return value == 0 or (value == 1 and form not in _MAY_BE_EMPTY)
    return key == "uniqueItems" and value is False


def _require_enforced(node: Mapping[str, Any], at: str) -> None:
    """Raise Unserved for what the compiler would leave out, so that answers would not fit the schema."""
    for key in sorted(_LEFT_OUT & node.keys()):
        raise Unserved(f"{at}.{key}", "cannot be enforced: leave it out")
    for key, beside in _ALONE.items():
        if key in node and (more := sorted((_ENFORCED & node.keys()) - {key} - beside)):
            raise Unserved(f"{at}.{more[0]}", f"cannot be enforced beside {key}: leave one of them out")
    if isinstance(allowed := node.get("allOf"), list) and len(allowed) != 1:
        raise Unserved(f"{at}.allOf", "cannot be enforced: write its schemas as one")
    if "$ref" in node and not isinstance(node["$ref"], str):
        raise Unserved(f"{at}.$ref", f"must be a text, got {type(node['$ref']).__name__}")
    has_length = "minLength" in node or "maxLength" in node
    if has_length and ("pattern" in node or "format" in node):
        raise Unserved(at, "has a pattern or format, beside which a length cannot be enforced")
    named = {"properties", "patternProperties", "propertyNames"} & node.keys()
    patterns = node.get("patternProperties")
    if len(named) > 1 or (isinstance(patterns, dict) and len(patterns) > 1):
        raise Unserved(at, "names its properties in several ways, which cannot be enforced together")
    required, properties = node.get("required"), node.get("properties") or {}
    if isinstance(required, list) and isinstance(properties, dict):
        for name in required:
            if isinstance(name, str) and name not in properties:
                raise Unserved(f"{at}.required", f"names {name[:80]!r}, which is no property")
