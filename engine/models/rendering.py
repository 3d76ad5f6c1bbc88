"""Renders chat templates as transformers does, without importing it: same sandbox, names and filters."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, meta, nodes
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
    compiled = _environment().from_string(template)

    def render(chat: Sequence[Mapping[str, Any]]) -> str:
        return compiled.render(
            messages=chat, tools=None, documents=None, add_generation_prompt=True, **tokens
        )

    return render


def names_in(template: str) -> frozenset[str]:
    """The names whose values a template is given, such as ``messages``. Raises jinja2.TemplateError."""
    environment = _environment()
    found = meta.find_undeclared_variables(environment.parse(template))
    return frozenset(found) - environment.globals.keys()


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


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


def line_of(error: BaseException) -> str:
    """Where in a template an error was raised, for a sentence; empty where that is not known."""
    trace, line = error.__traceback__, getattr(error, "lineno", None)
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" in line {line}" if line else ""
