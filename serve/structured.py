"""The ways in which clients ask for a structured answer, and the one way in which an engine is asked."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from serve.fields import Lenient, Sampled, Unserved, is_nothing
from serve.schemas import Structures

_KINDS = ("json", "regex", "choice", "grammar")


class JsonSchema(Lenient):
    """The `json_schema` of a response format. It is enforced, whether or not it is to be exact."""

    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class ResponseFormat(Lenient):
    """OpenAI's way."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """The schema of a `json_object`, as some servers take it."""


class Structured(Lenient):
    """vLLM's way: one of these."""

    ignored = frozenset({"backend", "disable_any_whitespace"})
    schema_: Annotated[dict[str, Any] | str | None, Field(alias="json")] = None
    json_object: bool = False
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None

    def asked(self) -> dict[str, Any]:
        """The structure by its kind."""
        return self.model_dump(exclude_defaults=True, by_alias=True)


class Asked(Sampled):
    """The fields of both endpoints. After `structure` they hold a structured answer in one way."""

    response_format: ResponseFormat | None = None
    structured_outputs: Structured | None = None
    guided_json: dict[str, Any] | str | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None

    @classmethod
    def _asks_nothing(cls, key: str, value: Any) -> bool:
        return (key == "response_format" and is_nothing(value)) or super()._asks_nothing(key, value)

    def structure(self, structures: Structures) -> None:
        """Bring all ways to ask for a structured answer into `structured_outputs`. Raises Unserved."""
        asked = list(self._structures())
        if len(asked) > 1:
            raise Unserved(asked[1][0], f"asks for a second structure beside that of {asked[0][0]}")
        self.unstructure()
        for name, kind, value in asked:
            checked = value if kind == "json_object" else getattr(structures, kind)(value, name)
            self.structured_outputs = Structured(**{kind: checked})
            self.require_end()

    def is_structured(self) -> bool:
        """Whether a structured answer is asked for. Raises Unserved."""
        return any(True for _ in self._structures())

    def unstructure(self) -> None:
        """Ask for no structured answer any more."""
        self.response_format = self.structured_outputs = None
        self.guided_json = self.guided_regex = self.guided_choice = self.guided_grammar = None

    def require_end(self) -> None:
        """Raise Unserved where an answer would go on after its structure has ended."""
        if self.ignore_eos:
            raise Unserved("ignore_eos", "cannot be true with a structured answer, which it would run past")

    def _structures(self) -> Iterator[tuple[str, str, Any]]:
        """What is asked for: the field, the kind, and the structure."""
        wanted = self.response_format
        if wanted and wanted.type == "json_schema":
            if wanted.json_schema is None:
                raise Unserved("response_format.json_schema", "is required for the type json_schema")
            yield "response_format.json_schema.schema", "json", wanted.json_schema.schema_
        elif wanted and wanted.type == "json_object" and wanted.schema_ is not None:
            yield "response_format.schema", "json", wanted.schema_
        elif wanted and wanted.type == "json_object":
            yield "response_format", "json_object", True
        if self.structured_outputs:
            for kind, value in self.structured_outputs.asked().items():
                yield f"structured_outputs.{kind}", kind, value
        for kind in _KINDS:
            if (value := getattr(self, f"guided_{kind}")) is not None:
                yield f"guided_{kind}", kind, value

    def body(self) -> dict[str, Any]:
        """What an engine is asked."""
        body = self.model_dump(exclude_none=True, by_alias=True)
        if self.structured_outputs:
            body["structured_outputs"] = self.structured_outputs.asked()
        return body

    def beside(self) -> list[str]:
        """What steers an answer beside its prompt, as texts."""
        structured = self.structured_outputs
        return [json.dumps(structured.asked(), ensure_ascii=False)] if structured else []
