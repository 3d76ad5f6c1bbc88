"""Renders chat templates as transformers does, without importing it: same sandbox, names and filters."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

FAILURES = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a template may raise that does not take a chat."""


class _Generation(Extension):
    """Takes ``{% generation %}``, which marks what an assistant says, for the text that it encloses."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def renderer(template: str, tokens: Mapping[str, str]) -> Callable[[Sequence[Mapping[str, Any]]], str]:
    """A function that renders a chat up to where the assistant's text begins.

    `tokens` are the special tokens by their names. Raises jinja2.TemplateError, and the function any of
    `FAILURES`.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    compiled = environment.from_string(template)

    def render(chat: Sequence[Mapping[str, Any]]) -> str:
        return compiled.render(
            messages=chat, tools=None, documents=None, add_generation_prompt=True, **tokens
        )

    return render


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
