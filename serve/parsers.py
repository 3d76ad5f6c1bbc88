"""vLLM's parsers of tool calls: the one that a config names, and one for where it names none."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from engine.errors import Mistake
from serve.template import read_template

_DEMANDED = "demanded"


class ParserError(Mistake):
    """`engines.tool_parser` names no parser of vLLM's, or one that does not fit the model."""


def check_parser(name: str | None, model: Path) -> None:
    """Refuse a parser that would find no call in what a model writes. Raises ParserError and ModelError."""
    if name is None:
        return
    if not read_template(model).shows_tools:
        raise ParserError(
            f"engines.tool_parser={name} would find no calls, because the chat template of {model.name} does "
            "not show the model its tools: leave it out"
        )
    from transformers import AutoTokenizer
    from vllm.tool_parsers import ToolParserManager

    names = ToolParserManager.list_registered()
    if name not in names:
        raise ParserError(f"engines.tool_parser must be one of vLLM's, got {name!r}: {', '.join(names)}")
    try:
        ToolParserManager.get_tool_parser(name)(AutoTokenizer.from_pretrained(model, trust_remote_code=False))
    except Exception as error:  # noqa: BLE001  parsers raise errors of any kind
        raise ParserError(f"engines.tool_parser={name} does not fit {model.name}: {error}") from None


def register_parser(name: str | None) -> str:
    """Give vLLM the parser of the config, and return the name that vLLM knows it by.

    Where calls are held to a form, no more than one blank may stand at a place of it: small models fill their
    answers with blanks otherwise.
    """
    from vllm.tool_parsers import ToolParserManager

    if name is None:
        return _register_demanded_calls()
    base: Any = ToolParserManager.get_tool_parser(name)

    class Bounded(base):
        def get_structural_tag(self, *arguments: Any, **named: Any) -> Any:
            tag = super().get_structural_tag(*arguments, **named)
            _bound_blanks(tag)
            return tag

    ToolParserManager.register_module(name, module=Bounded)
    return name


def _bound_blanks(node: Any) -> None:
    from xgrammar.structural_tag import JSONSchemaFormat

    if isinstance(node, JSONSchemaFormat):
        node.max_whitespace_cnt = 1
    elif isinstance(node, BaseModel):
        _bound_blanks([getattr(node, field) for field in type(node).model_fields])
    elif isinstance(node, list | tuple):
        for each in node:
            _bound_blanks(each)


def _register_demanded_calls() -> str:
    """Give vLLM a parser for models whose own calls are not parsed.

    Without any parser vLLM refuses `required` and named tools as well, although it needs none for them: the
    answer is held to a schema made of the tools, and is the call itself.
    """
    from vllm.entrypoints.generate.base.protocol import DeltaMessage, ExtractedToolCallInformation
    from vllm.tool_parsers import ToolParser, ToolParserManager

    class DemandedCalls(ToolParser):
        def extract_tool_calls(self, model_output: str, request: Any) -> ExtractedToolCallInformation:
            return ExtractedToolCallInformation(tools_called=False, tool_calls=[], content=model_output)

        def extract_tool_calls_streaming(
            self, previous_text: str, current_text: str, delta_text: str, *_: Any, **__: Any
        ) -> DeltaMessage | None:
            return DeltaMessage(content=delta_text) if delta_text else None

    ToolParserManager.register_module(_DEMANDED, module=DemandedCalls)
    return _DEMANDED
