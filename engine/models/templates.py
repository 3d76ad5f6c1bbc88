"""The chat template of a model: where it is, which roles it takes, and where a system message goes instead.

Some templates refuse a system message, and some leave it out without a word. Its text then stands at the head
of the first user's turn, in sampling, training and serving alike.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.models.identity import ModelError, read_json, refuse_pointer
from engine.models.tokens import SETTINGS, special_tokens

Chat = Sequence[Mapping[str, Any]]
"""Messages with ``role`` and ``content``, which is a text or a list of parts."""
_RULES, _ASKED, _SAID, _AGAIN = "Amber", "Basalt", "Copper", "Dune"
"""Texts to be found again in what a template makes of them: a system message, and three turns."""


class Template(NamedTuple):
    """A chat template and the file that holds it."""

    text: str
    file: Path


def template_of(model: Path) -> Template | None:
    """A model's chat template; None where it has none. Raises ModelError."""
    file = model / "chat_template.jinja"
    if file.exists():
        refuse_pointer(file)
        try:
            return Template(file.read_text(encoding="utf-8"), file)
        except ValueError as error:
            raise ModelError(f"{file} is corrupt: {error}") from None
    file = model / SETTINGS
    found = read_json(file).get("chat_template") if file.exists() else None
    if isinstance(found, list):
        found = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
    if isinstance(found, dict) and found:
        names, found = ", ".join(map(str, found)), found.get("default")
        if not found:
            raise ModelError(f"{file} has the chat templates {names}: call the one for plain chats default")
    return Template(found, file) if found and isinstance(found, str) else None


def check_template(template: Template, tokens: Mapping[str, str]) -> bool:
    """Refuse a template that takes no chat of user and assistant; return whether it takes a system message.

    `tokens` are the special tokens by their names. Raises ModelError.
    """
    from engine.models.rendering import FAILURES, renderer

    turns = {_ASKED: "user", _SAID: "assistant", _AGAIN: "user"}
    try:
        render = renderer(template.text, tokens)
        rendered = render([{"role": role, "content": text} for text, role in turns.items()])
    except FAILURES as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{template.file} takes no chat of user and assistant: {reason}; put a template there that takes "
            "these roles"
        ) from None
    if lost := [role for text, role in turns.items() if text not in rendered]:
        raise ModelError(
            f"{template.file} leaves out what the {lost[0]} says: put a template there that takes the roles "
            "user and assistant"
        )
    return takes_system(render)


def takes_system_message(model: Path) -> bool:
    """Whether a model's chat template takes a system message; true where there is no template.

    Raises ModelError as `check_template`.
    """
    template = template_of(model)
    return template is None or check_template(template, special_tokens(model).in_templates)


def takes_system(render: Callable[[list[dict[str, str]]], str]) -> bool:
    """Whether a template, by the function that renders chats with it, shows the text of a system message."""
    from engine.models.rendering import FAILURES

    try:
        shown = render([{"role": "system", "content": _RULES}, {"role": "user", "content": _ASKED}])
    except FAILURES:
        return False
    return _RULES in shown and _ASKED in shown


def system_in_turn(chat: Chat) -> list[dict[str, Any]]:
    """The chat with the text of its leading system messages at the head of the first user's turn."""
    rest = [dict(message) for message in chat]
    said: list[Any] = []
    while rest and rest[0]["role"] in ("system", "developer"):
        said.append(rest.pop(0)["content"])
    if not said:
        return rest
    if not rest or rest[0]["role"] != "user":
        rest.insert(0, {"role": "user", "content": said.pop()})
    for content in reversed(said):
        rest[0]["content"] = _joined(content, rest[0]["content"])
    return rest


def _joined(first: Any, second: Any) -> Any:
    """Two contents as one, with a blank line between them; parts where either is a list of parts."""
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    before, after = (
        [{"type": "text", "text": each}] if isinstance(each, str) else list(each) for each in (first, second)
    )
    if before and after and before[-1]["type"] == after[0]["type"] == "text":
        # One part, because some put a line break between parts, and some nothing.
        text = f"{before.pop()['text']}\n\n{after[0]['text']}"
        return [*before, {**after[0], "text": text}, *after[1:]]
    return [*before, *after]
