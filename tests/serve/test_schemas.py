"""What an answer may be held to: one way to ask for it, keywords that are enforced, and what is too much."""

import json
import re
from typing import Any

import pytest

from configs.serving import Limits
from serve.fields import Unserved
from serve.requests import RequestError, read_chat
from serve.schemas import Structures

LIMITS = Limits()
TEXT = {"type": "string"}
PERSON = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def structured(**more: Any) -> dict[str, Any] | None:
    body = {"messages": [{"role": "user", "content": "hi"}], **more}
    return read_chat(json.dumps(body).encode(), LIMITS).body().get("structured_outputs")


def as_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "p", "strict": True, "schema": schema}}


def test_every_way_to_ask_ends_in_one() -> None:
    assert structured(response_format={"type": "text"}) is None
    assert structured(response_format={"type": "json_object"}) == {"json_object": True}
    for asked in (
        {"response_format": as_format(PERSON)},
        {"response_format": {"type": "json_object", "schema": PERSON}},
        {"structured_outputs": {"json": PERSON, "regex": None, "disable_any_whitespace": False}},
        {"structured_outputs": {"json": json.dumps(PERSON)}},
        {"guided_json": PERSON, "guided_decoding_backend": "outlines"},
    ):
        assert structured(**asked) == {"json": PERSON}, asked
    assert structured(guided_regex="[a-c]+") == structured(structured_outputs={"regex": "[a-c]+"})
    assert structured(guided_choice=["a", "b"]) == {"choice": ["a", "b"]}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema is required for the type",
        ),
        ({"response_format": {"type": "structural_tag"}}, "response_format.type: Input should be 'text'"),
        ({"response_format": {"type": "xml"}}, "response_format.type: Input should be 'text'"),
        (
            {"guided_regex": "a", "response_format": {"type": "json_object"}},
            "guided_regex asks for a second structure beside that of response_format",
        ),
        (
            {"structured_outputs": {"regex": "a", "choice": ["a"]}},
            "structured_outputs.choice asks for a second structure beside that of structured_outputs.regex",
        ),
        (
            {"structured_outputs": {"structural_tag": "{}"}},
            "the field structured_outputs.structural_tag is not",
        ),
        ({"structured_outputs": {"choice": []}}, "structured_outputs.choice holds no text to choose"),
        ({"guided_json": "{"}, "guided_json is not JSON"),
        ({"guided_json": "true"}, "guided_json must be a JSON object, got bool"),
        ({"structured_outputs": {"json": "false"}}, "structured_outputs.json must be a JSON object"),
        ({"guided_json": '{"items":' * 100 + "{}" + "}" * 100}, "is nested more than 32 levels deep"),
        (
            {"guided_grammar": 'root ::= "a"'},
            "guided_grammar is not served here: the server's limits.grammars",
        ),
        ({"guided_choice": ["a"], "ignore_eos": True}, "ignore_eos cannot be true with a structured answer"),
    ],
)
def test_what_is_no_one_structure_is_refused_by_name(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=re.escape(sentence)) as caught:
        structured(**asked)
    assert caught.value.body["error"]["param"] in str(caught.value)


def test_a_grammar_is_taken_where_the_config_says_so() -> None:
    grammar = 'root ::= "a"'
    assert Structures(LIMITS.model_copy(update={"grammars": True})).grammar(grammar, "g") == grammar


def checked(schema: Any, limits: Limits = LIMITS) -> Any:
    return Structures(limits).json(schema, "s")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        PERSON | {"additionalProperties": False, "title": "P", "$schema": "x", "description": "d"},
        {"$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"},
        {"properties": {"a": {"$ref": "#", "description": "d", "default": None}}},
        {"anyOf": [TEXT, {"type": "null"}], "default": None, "title": "T"},
        {"oneOf": [PERSON, TEXT], "discriminator": {"propertyName": "kind"}},
        {"type": "string", "enum": ["a", "b"]},
        {"type": ["integer", "null"], "minimum": 3},
        {"type": "array", "prefixItems": [TEXT], "items": False, "minItems": 1},
        {"type": "object", "patternProperties": {"^x": TEXT}, "additionalProperties": False},
        {"allOf": [PERSON]},
        {"type": "string", "pattern": "^(?:a|b)+?[({]x{2,3}$"},
        {"type": "string", "format": "date-time"},
        {"properties": {"not": TEXT, "if": TEXT}, "required": ["not"]},  # names, and no keywords
        {"const": {"not": 1}},
        {"type": "string", "pattern": r"^(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?: [A-Z]{2,3}){0,300}$"},
        {"properties": {"a~b c%d": TEXT, "x": {"$ref": "#/properties/a~b c%d"}}},
    ],
)
def test_a_schema_that_can_be_enforced_stays_as_it_is(schema: dict[str, Any]) -> None:
    assert checked(schema) == schema


def test_notes_that_the_compiler_would_trip_over_are_dropped() -> None:
    schema = {"type": "array", "uniqueItems": False, "items": {"type": "string", "format": "path"}}
    assert checked(schema) == {"type": "array", "items": TEXT}
    # So Pydantic writes AnyUrl. It is no note of a format that an empty text has.
    assert checked({"format": "uri", "minLength": 1} | TEXT) == {"format": "uri"} | TEXT
    with pytest.raises(Unserved, match="beside which a length cannot be enforced"):
        checked({"format": "json-pointer", "minLength": 1} | TEXT)


@pytest.mark.parametrize(
    ("name", "ref", "made"),
    [
        ("a/b", "#/$defs/a~1b", "a\N{DIVISION SLASH}b"),
        ("a b", "#/$defs/a%20b", "a b"),
        ("é~", "#/$defs/%C3%A9~0", "é~"),
        ("Box[int]", "#/$defs/Box[int]", "Box[int]"),
    ],
)
def test_an_escaped_reference_is_written_as_the_compiler_reads_it(name: str, ref: str, made: str) -> None:
    schema = {"$defs": {name: TEXT}, "properties": {"x": {"$ref": ref}}}
    assert checked(schema) == {"$defs": {made: TEXT}, "properties": {"x": {"$ref": f"#/$defs/{made}"}}}


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"not": {}}, "s.not cannot be enforced"),
        ({"properties": {"a": {"type": "integer", "multipleOf": 3}}}, "s.properties.a.multipleOf cannot be"),
        ({"items": {"uniqueItems": True}}, "s.items.uniqueItems cannot be enforced"),
        ({"if": {}, "then": {}}, "s.if cannot be enforced"),
        ({"dependentRequired": {"a": ["b"]}}, "s.dependentRequired cannot be enforced"),
        ({"$ref": "#/x", "minimum": 1}, "s.minimum cannot be enforced beside $ref"),
        ({"anyOf": [TEXT], "type": "object"}, "s.type cannot be enforced beside anyOf"),
        ({"enum": [1], "minimum": 1}, "s.minimum cannot be enforced beside enum"),
        ({"allOf": [PERSON, TEXT]}, "s.allOf cannot be enforced: write its schemas as one"),
        ({"$ref": "http://example.org"}, "s.$ref must name a schema of this one"),
        ({"$ref": "#/x", "x": {"type": "string"}}, "s.$ref must name a schema of this one, as #/$defs/NAME"),
        ({"properties": {"a": {"$ref": "#/properties"}}}, "s.properties.a.$ref must name a schema"),
        (
            {"properties": {"a/b": TEXT, "a": {"b": {"not": {}}}, "c": {"$ref": "#/properties/a/b"}}},
            "s.properties.c.$ref must name a schema",
        ),
        ({"$ref": 3}, "s.$ref must be a text, got int"),
        ({"pattern": "^(?!a)b"}, "s.pattern looks ahead or behind"),
        ({"pattern": "a", "maxLength": 3}, "s has a pattern or format, beside which a length cannot be"),
        ({"required": ["a"]}, "s.required names 'a', which is no property"),
        (
            {"properties": {}, "patternProperties": {"a": TEXT}},
            "s names its properties in several ways",
        ),
        ({"items": [TEXT]}, "s.items must be a schema, got list"),
        ({"properties": {"a": 1}}, "s.properties.a must be a schema, got int"),
        ({"pattern": 1}, "s.pattern must be a regular expression, got int"),
        # What is too much.
        ({"const": "x" * 40_000}, "s is too large: the structures of a request may have 32768 bytes"),
        ({"enum": list(range(1001))}, "s.enum has too many parts"),
        ({"anyOf": [{"anyOf": [TEXT] * 40}] * 40}, "has too many parts"),
        (
            {"properties": {f"p{i}": TEXT for i in range(300)}},
            "s has 300 properties: an object may have at most",
        ),
        ({"pattern": "(a{1,10000}){10000}"}, "s.pattern takes too long to compile"),
        ({"pattern": "(((a{1,30}){1,30}){1,30}){1,30}"}, "s.pattern takes too long to compile"),
        ({"pattern": "(?:[a-z]{40}x|(b+c)?)*{30}"}, "s.pattern takes too long to compile"),
        ({"pattern": "a*" * 40}, "s.pattern has 40 quantifiers"),
        ({"pattern": "a" * 600}, "s.pattern has 600 characters"),
        (
            {"properties": {f"p{i}": {"type": "string", "maxLength": 200 + i} for i in range(9)}},
            "s.properties.p5 takes too long to compile",
        ),
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused_by_name(schema: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Unserved, match=re.escape(sentence)) as caught:
        checked(schema)
    assert str(caught.value).startswith(caught.value.param)


def test_a_length_that_is_used_again_counts_once() -> None:
    checked({"properties": {f"p{i}": {"type": "string", "maxLength": 255} for i in range(200)}})


def test_all_structures_of_a_request_count_together() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"enum": list(range(300))}}}
    body = {"messages": [{"role": "user", "content": "hi"}], "tools": [tool] * 4}
    # What the model calls of its own accord is not compiled.
    assert read_chat(json.dumps(body).encode(), LIMITS).tools
    with pytest.raises(RequestError, match=r"tools\.3\.function\.parameters\.enum has too many parts"):
        read_chat(json.dumps(body | {"tool_choice": "required"}).encode(), LIMITS)
