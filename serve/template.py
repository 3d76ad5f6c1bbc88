"""What the chat template of a served model makes of a chat, and what is done where it knows too little.

A template that has no place for calls of tools leaves them out without a word, and some refuse the turn of a
tool. There the calls of a history, and what tools said, stand in the turns of assistant and user instead, in
the form that most models are trained on.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.models.rendering import names_in
from engine.models.templates import system_in_turn, takes_system_message, template_of
from serve.fields import Unserved, is_nothing

_OF_THE_SERVER = {"add_generation_prompt", "documents", "messages", "tools"}
"""Names that a request sets by fields of their own."""


class ServedTemplate(NamedTuple):
    """What a chat template takes."""

    takes_system: bool = True
    shows_tools: bool = True
    """Whether a model learns which tools it may call."""
    shows_calls: bool = True
    """Whether calls in a history, and what tools said, are shown."""
    shows_documents: bool = True
    names: frozenset[str] = frozenset()
    """Names that `chat_template_kwargs` may set."""

    def prepared(self, body: Mapping[str, Any], has_parser: bool) -> dict[str, Any]:
        """A chat as the template takes it. Raises Unserved.

        `has_parser` is whether calls that the model writes of its own accord are found in its text.
        """
        if body.get("tools") and body["tool_choice"] == "auto":
            if not has_parser:
                raise Unserved(
                    "tool_choice",
                    "auto needs a server whose engines.tool_parser is set to vLLM's parser for this model; "
                    "required, or the name of a tool, needs none",
                )
            if not self.shows_tools:
                raise Unserved("tools", "are not shown to this model by its chat template: set tool_choice")
        if body.get("documents") and not self.shows_documents:
            raise Unserved("documents", "have no place in the chat template of this model")
        return self.counted(body)

    def counted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A chat whose tokens are asked for, as the template takes it. Raises Unserved."""
        set_names = self._set_names(body.get("chat_template_kwargs") or {})
        return {**body, "messages": self.turns(body["messages"]), "chat_template_kwargs": set_names}

    def turns(self, chat: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A chat's messages with the roles that the template knows."""
        if not self.takes_system:
            chat = system_in_turn(chat)
        return chat if self.shows_calls else calls_in_turns(chat)

    def _set_names(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in asked.items():
            # What is switched off is off anyway in a template that does not know it.
            if name not in self.names and not (value is False or is_nothing(value)):
                known = ", ".join(sorted(self.names)) or "none"
                raise Unserved(
                    f"chat_template_kwargs.{name}", f"is no name in the chat template; it knows: {known}"
                )
        return {name: value for name, value in asked.items() if name in self.names}


def read_template(model: Path) -> ServedTemplate:
    """What the chat template of a model takes. Raises ModelError."""
    template = template_of(model)
    if template is None:
        return ServedTemplate()
    names = names_in(template.text)
    return ServedTemplate(
        takes_system=takes_system_message(model),
        shows_tools="tools" in names,
        shows_calls="tool_calls" in template.text,
        shows_documents="documents" in names,
        names=frozenset(name for name in names - _OF_THE_SERVER if not name.endswith(("_token", "_tokens"))),
    )


def calls_in_turns(chat: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A chat whose calls, and what tools said to them, stand in the turns of assistant and user as text."""
    turns: list[dict[str, Any]] = []
    for message in chat:
        turn, content = dict(message), message.get("content") or ""
        text = content if isinstance(content, str) else "".join(part["text"] for part in content)
        if turn["role"] == "tool":
            turn = {"role": "user", "content": f"<tool_response>\n{text}\n</tool_response>"}
        elif calls := turn.pop("tool_calls", None):
            said = [text] if text else []
            turn["content"] = "\n".join([*said, *map(_call, calls)])
        if turns and turns[-1]["role"] == turn["role"] == "user" and _is_of_a_tool(turns[-1]):
            turns[-1]["content"] += f"\n{turn['content'] if _is_of_a_tool(turn) else text}"
        else:
            turns.append(turn)
    return turns


def _is_of_a_tool(turn: Mapping[str, Any]) -> bool:
    return isinstance(turn["content"], str) and turn["content"].startswith("<tool_response>")


def _call(call: Mapping[str, Any]) -> str:
    function = call["function"]
    name = json.dumps(function["name"], ensure_ascii=False)
    return f'<tool_call>\n{{"name": {name}, "arguments": {function["arguments"]}}}\n</tool_call>'
