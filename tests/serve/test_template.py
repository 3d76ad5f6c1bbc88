"""What is made of a chat for the template of the model that is served."""

from pathlib import Path
from typing import Any

import pytest

from serve.fields import Unserved
from serve.parsers import ParserError, check_parser
from serve.template import ServedTemplate, calls_in_turns, read_template
from tests.support.model_dirs import NO_SYSTEM, TEMPLATE, TOOLS, sound_model

CALL = {"id": "c", "type": "function", "function": {"name": "get_time", "arguments": '{"zone": "UTC"}'}}


def model_with(path: Path, template: str) -> Path:
    model = sound_model(path / "model")
    (model / "chat_template.jinja").write_text(template)
    return model


def body(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}], **more}


def test_what_a_template_takes_is_read_from_it(tmp_path: Path) -> None:
    plain = read_template(model_with(tmp_path / "plain", TEMPLATE))
    assert plain == ServedTemplate(shows_tools=False, shows_calls=False, shows_documents=False)
    assert not read_template(model_with(tmp_path / "system", NO_SYSTEM)).takes_system
    full = read_template(model_with(tmp_path / "tools", TOOLS))
    assert full.shows_tools and full.shows_calls and full.names == {"enable_thinking"}


def test_names_that_the_template_knows_are_set() -> None:
    template = ServedTemplate(names=frozenset({"enable_thinking"}))
    asked = {"enable_thinking": True, "other": False, "more": None}
    assert template.prepared(body(chat_template_kwargs=asked), False)["chat_template_kwargs"] == {
        "enable_thinking": True
    }
    with pytest.raises(
        Unserved, match="chat_template_kwargs.persona is no name in the chat template; it know"
    ):
        template.prepared(body(chat_template_kwargs={"persona": "a pirate"}), False)
    # What a name of transformers would do to the server is not asked.
    with pytest.raises(Unserved, match="chat_template_kwargs.return_tensors is no name"):
        template.prepared(body(chat_template_kwargs={"return_tensors": "pt"}), False)


def test_tools_of_the_models_own_accord_need_a_parser_and_a_template() -> None:
    asked = body(tools=[{}], tool_choice="auto")
    with pytest.raises(Unserved, match="tool_choice auto needs a server whose engines.tool_parser is set"):
        ServedTemplate().prepared(asked, False)
    with pytest.raises(Unserved, match="tools are not shown to this model by its chat template"):
        ServedTemplate(shows_tools=False).prepared(asked, True)
    assert ServedTemplate().prepared(asked, True)["tools"] == [{}]
    for choice in ("none", "required", {"type": "function", "function": {"name": "f"}}):
        assert ServedTemplate(shows_tools=False).prepared({**asked, "tool_choice": choice}, False)
    with pytest.raises(Unserved, match="documents have no place in the chat template"):
        ServedTemplate(shows_documents=False).prepared(body(documents=[{"text": "a"}]), False)


def test_a_history_of_calls_stands_in_turns_where_the_template_has_no_place_for_it() -> None:
    chat = [
        {"role": "user", "content": "time?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [CALL, CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "12:00"},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "12:01"}]},
        {"role": "user", "content": "thanks"},
    ]
    call = '<tool_call>\n{"name": "get_time", "arguments": {"zone": "UTC"}}\n</tool_call>'
    told = "<tool_response>\n12:00\n</tool_response>\n<tool_response>\n12:01\n</tool_response>"
    assert calls_in_turns(chat) == [
        chat[0],
        {"role": "assistant", "content": f"I look.\n{call}\n{call}"},
        {"role": "user", "content": f"{told}\nthanks"},
    ]
    assert ServedTemplate().prepared(body(messages=chat), False)["messages"] == chat
    assert calls_in_turns(chat[:1] * 2) == chat[:1] * 2


@pytest.mark.slow
def test_a_parser_is_checked_before_anything_starts(tmp_path: Path, tiny_model: Path) -> None:
    check_parser(None, tmp_path / "nothing")
    with pytest.raises(
        ParserError, match="hermes would find no calls, because the chat template of model does"
    ):
        check_parser("hermes", tiny_model)
    model = tmp_path / "model"
    model.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (model / name).write_bytes((tiny_model / name).read_bytes())
    (model / "chat_template.jinja").write_text(TOOLS)
    check_parser("hermes", model)
    with pytest.raises(
        ParserError, match="engines.tool_parser must be one of vLLM's, got 'herms': .*hermes, "
    ):
        check_parser("herms", model)
    with pytest.raises(ParserError, match="tool_parser=llama3_json does not fit model: .*<|python_tag|>"):
        check_parser("llama3_json", model)
