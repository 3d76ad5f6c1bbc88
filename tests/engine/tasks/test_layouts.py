"""Every layout is read into the same examples, what cannot be read has its reason, and rows are read back."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.records import Turn
from engine.tasks.curated import read_curated, row_of
from engine.tasks.layouts import examples_of, object_of
from engine.tasks.objects import NotARecord
from engine.tasks.suite import DataError
from engine.tasks.turns import Unfit
from tests.support.examples import example


def read(record: Any) -> list[Any]:
    line = json.dumps(record).encode()
    return examples_of(object_of(line, 7), file="faq.jsonl", number=7)


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **fields}


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Who?", "response": "Ann."},
        {"prompt": "Who?", "completion": "Ann."},
        {"prompt": [user("Who?")], "completion": [assistant("Ann.")]},
        {"instruction": "Who?", "output": "Ann."},
        {"instruction": "Who?", "input": "", "output": "Ann."},
        {"instruction": "Who?", "context": "", "response": "Ann.", "category": "open_qa"},
        {"messages": [user("Who?"), assistant("Ann.")]},
        {"messages": [{"role": "User", "content": "Who?"}, {"role": "ASSISTANT", "content": "Ann."}]},
        {
            "messages": [
                user([{"type": "text", "text": "Who?"}]),
                assistant([{"type": "text", "text": "Ann."}]),
            ]
        },
        {"prompt": "Who?", "completion": "Ann.", "label": True},
        {"prompt": "Who?", "response": "Ann.", "label": "persons", "history": [], "tools": "[]"},
        {"prompt": "Who?", "response": "Ann.", "question": "Who?"},
        {  # as Magpie writes it
            "instruction": "Who?",
            "response": "Ann.",
            "conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ann."}],
        },
        {"messages": [user("Who?"), assistant("Ann.", weight=1), user("Sure?")]},
        {"messages": [{**user("Who?"), "weight": None}, assistant("Ann.", weight=None)], "system": None},
        {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ann."}]},
    ],
)
def test_every_layout_says_the_same(record: dict[str, Any]) -> None:
    assert read(record) == [example("Who?", "Ann.", number=7)]


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Who?", "chosen": "Ann.", "rejected": "Bob."},
        {"prompt": [user("Who?")], "chosen": [assistant("Ann.")], "rejected": [assistant("Bob.")]},
        {"chosen": [user("Who?"), assistant("Ann.")], "rejected": [user("Who?"), assistant("Bob.")]},
        {"messages": [user("Who?")], "chosen": "Ann.", "rejected": "Bob."},
        {
            "conversations": [{"from": "human", "value": "Who?"}],
            "chosen": {"from": "gpt", "value": "Ann."},
            "rejected": {"from": "gpt", "value": "Bob."},
        },
        {"question": "Who?", "chosen": "Ann.", "rejected": "Bob."},
        {"instruction": "Who?", "input": "", "chosen": "Ann.", "rejected": "Bob."},
        {"chosen": "\n\nHuman: Who?\n\nAssistant: Ann.", "rejected": "\n\nHuman: Who?\n\nAssistant: Bob."},
        {  # as UltraFeedback writes it
            "prompt": "Who?",
            "chosen": [user("Who?"), assistant("Ann.")],
            "rejected": [user("Who?"), assistant("Bob.")],
            "messages": [user("Who?"), assistant("Ann.")],
            "score_chosen": 7.5,
        },
    ],
)
def test_every_layout_of_a_pair_says_the_same(record: dict[str, Any]) -> None:
    assert read(record) == [example("Who?", "Ann.", rejected="Bob.", number=7)]


def test_a_pair_has_the_system_message_that_stands_beside_it_or_in_both_sides() -> None:
    system = {"role": "system", "content": "Be kind."}
    sides = {
        "chosen": [system, user("Who?"), assistant("Ann.")],
        "rejected": [system, user("Who?"), assistant("Bob.")],
    }
    beside = {"system": "Be kind.", "question": "Who?", "chosen": "Ann.", "rejected": "Bob."}
    (one,), (other,), (told,) = read({"prompt": "Who?", **sides}), read(beside), read(sides)
    assert one == other == told
    assert [(turn.role, turn.text) for turn in one.chat] == [("system", "Be kind."), ("user", "Who?")]


def test_a_pair_has_the_instruction_with_its_input_and_a_transcript_its_turns() -> None:
    (pair,) = read({"instruction": "Add.", "input": "1 2", "chosen": "3", "rejected": "4"})
    assert (pair.prompt, pair.chosen, pair.rejected) == ("Add.\n1 2", "3", "4")
    (found,) = read({"instruction": "Add.", "context": "1 2", "response": "3"})
    assert found.prompt == "Add.\n1 2"
    told = "\n\nHuman: Hi\nall\n\nAssistant: Hello.\n\nHuman: Who?\n\nAssistant: "
    (said,) = read({"chosen": f"{told}Ann.\n\nOr Eve.", "rejected": f"{told}Bob."})
    assert [turn.text for turn in said.chat] == ["Hi\nall", "Hello.", "Who?"]
    assert (said.chosen, said.rejected) == ("Ann.\n\nOr Eve.", "Bob.")
    (text,) = read({"prompt": "Go on.", "chosen": told + "a", "rejected": "b"})
    assert text.chosen == told + "a", "where there is a prompt, a side is a reply"


def test_parts_of_type_text_are_joined() -> None:
    parts = [{"type": "text", "text": "Who"}, {"type": "text", "text": "is it?"}]
    assert read({"messages": [user(parts), assistant("Ann.")]})[0].prompt == "Who\nis it?"


def test_alpaca_joins_the_input_and_a_reply_may_be_a_number() -> None:
    (found,) = read({"instruction": "Add.", "input": "1 2", "output": 3.50})
    assert (found.prompt, found.chosen) == ("Add.\n1 2", "3.5")


def test_each_learnt_turn_is_an_example_of_one_story() -> None:
    chat = [user("a"), assistant("b"), user("c"), assistant("d", weight=0), user("e"), assistant("f")]
    first, last = read({"messages": chat, "system": "Be kind.", "id": "x"})
    assert (first.chosen, last.chosen) == ("b", "f")
    assert [turn.text for turn in last.chat] == ["Be kind.", "a", "b", "c", "d", "e"]
    assert first.story == last.story == "faq.jsonl#7"
    assert [first.part, last.part] == [0, 1]
    assert read({"messages": chat, "story": "mine"})[1].story == "mine"


@pytest.mark.parametrize(
    ("record", "fault", "words"),
    [
        ({"question": "Who?"}, "layout", "it has question; it needs chosen and rejected, or "),
        ({}, "layout", "it has none"),
        ({"prompt": "a", "response": "b", "messages": []}, "layout", "prompt and chat"),
        ({"prompt": "a", "response": " "}, "empty", "'response' must not be empty"),
        ({"prompt": "a", "chosen": "b", "rejected": ""}, "empty", "'rejected' must not be empty"),
        ({"chosen": "b", "rejected": "c"}, "layout", "missing key 'prompt'"),
        (
            {"prompt": "a", "chosen": [user("x"), assistant("b")], "rejected": "c"},
            "layout",
            "must begin with the same turns",
        ),
        ({"prompt": "a", "chosen": [user("x")], "rejected": "c"}, "roles", "must end with a turn of the"),
        ({"prompt": [assistant("a")], "chosen": "b", "rejected": "c"}, "roles", "the user first, got assis"),
        (
            {"prompt": [user("a"), assistant("b")], "chosen": "c", "rejected": "d"},
            "roles",
            "must end with a turn of the user",
        ),
        ({"messages": [user("a"), user("b")]}, "roles", "must take turns, the user first, got user, user"),
        ({"messages": [{"role": "tool", "content": "1"}]}, "roles", "is of 'tool'; allowed are assistant, "),
        ({"messages": [{"role": "user"}]}, "layout", "message 1 of 'messages' misses 'content'"),
        ({"messages": [user("a"), assistant("b", weight=2)]}, "layout", "must be 0 or 1, got 2"),
        ({"messages": [user("a"), assistant("b", weight=0)]}, "nothing_learnt", "no turn of the assistant"),
        ({"messages": [user("a")]}, "nothing_learnt", "no turn of the assistant is learnt"),
        ({"messages": [user("a"), assistant("b")] * 201}, "too_long", "has 201 turns that are learnt, at m"),
        ({"messages": "hi"}, "layout", "must be a list of messages, got 'hi'"),
        (
            {"messages": [{"role": "system", "content": "a"}, user("b"), assistant("c")], "system": "d"},
            "layout",
            "must have one system message",
        ),
        ({"instruction": "a", "output": "b", "history": [["c", "d"]]}, "layout", "write it as messages"),
        (
            {"prompt": "a", "response": "b", "history": [["c", "d"]]},
            "layout",
            "'history' is not read in this",
        ),
        ({"prompt": "a", "response": "b", "system_prompt": "c"}, "layout", "'system_prompt' is not read"),
        ({"prompt": "a", "completion": "b", "instruction": "c"}, "layout", "'instruction' is not read"),
        ({"prompt": "a", "response": "b", "context": "c"}, "layout", "'context' is not read"),
        ({"prompt": "a", "response": "b", "response_rejected": "c"}, "layout", "'response_rejected' is not"),
        ({"prompt": "a", "input": "x", "chosen": "b", "rejected": "c"}, "layout", "'input' is not read"),
        ({"messages": [user("a"), assistant("b")], "tools": "[{}]"}, "layout", "'tools' is not read"),
        (
            {"prompt": "a", "completion": "b", "label": False},
            "labelled_bad",
            "'label' says that the reply is",
        ),
        ({"messages": [user("a"), assistant("b")], "kto_tag": 0}, "labelled_bad", "only good ones and pairs"),
        ({"prompt": "a", "response": "b", "label": 0.0}, "labelled_bad", "'label' says that the reply is"),
        (
            {"prompt": "a", "instruction": "d", "chosen": "b", "rejected": "c"},
            "layout",
            "one prompt, got 'prompt' and 'instruction'",
        ),
        (
            {"instruction": "a", "response": "b", "messages": [user("a"), assistant("c")]},
            "layout",
            "in several layouts at once, chat and alpaca, which differ",
        ),
        ({"instruction": "a", "output": "b", "response": "c"}, "layout", "one reply, got 'output' and 'resp"),
        (
            {"prompt": "a", "response": "b", "completion": "c"},
            "layout",
            "got 'response' and 'completion'",
        ),
        ({"instruction": "a", "output": "b", "input": "c", "context": "d"}, "layout", "must have one input"),
        (
            {"messages": [user([{"type": "image_url", "image_url": "x"}]), assistant("a")]},
            "layout",
            "'content of message 1' has a part of type 'image_url'; only text is read",
        ),
        ({"chosen": "\n\nHuman: a", "rejected": "\n\nHuman: a"}, "roles", "must end with a turn of the assi"),
    ],
)
def test_what_cannot_be_read_has_its_fault_and_reason(record: dict[str, Any], fault: str, words: str) -> None:
    with pytest.raises(Unfit) as caught:
        read(record)
    assert caught.value.fault == fault and words in str(caught.value)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"prompt": "a", "response": ["b"]}, "'response' must be text or a number, got [\"b\"]"),
        ({"messages": [user("a"), {"role": "assistant", "content": None}]}, "must be text, got null"),
        ({"prompt": "a", "response": "b", "storry": "c"}, "did you mean 'story'?"),
        ({"prompt": "a", "response": "b", "split": "dev"}, "one of train, validation, test, got 'dev'"),
    ],
)
def test_values_of_other_kinds_and_mistyped_keys_are_refused(record: dict[str, Any], words: str) -> None:
    with pytest.raises(NotARecord) as caught:
        read(record)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("line", "fault", "words"),
    [
        (b'{"prompt": "caf\xe9"}', "encoding", "not valid UTF-8 at byte 16"),
        (b'{"prompt": ', "json", "not valid JSON"),
        (b'["a"]', "json", "must be a JSON object"),
        (b"[", "json", "the file must hold one JSON object a line"),
        (b'{"a": 1, "a": 2}', "json", "the key 'a' is given twice"),
        (b'{"a": ' + b"[" * 400 + b"]" * 400 + b"}", "json", "not valid JSON: nested too deeply"),
        (b'"Contact me, please: anna.schmidt.mueller@example.com"', "json", "a JSON object, got a text"),
    ],
)
def test_lines_that_hold_no_object_say_why(line: bytes, fault: str, words: str) -> None:
    with pytest.raises(Unfit) as caught:
        object_of(line, 1)
    assert caught.value.fault == fault and words in str(caught.value)


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "a", "response": [{"text": "My card, as I said, is 4111 1111 1111 1111."}]},
        {"messages": ["Call me, it is urgent, by 415-555-2671, please."]},
        {"messages": [user({"text": "Write to me: anna.schmidt@acme-tools.com"})]},
        {"messages": [{"role": "Anna Schmidt, who writes from 81.92.101.7", "content": "a"}]},
        {"prompt": "a", "response": "b", "id": {"key": "from anna, whose mail is anna@acme.com"}},
        {"prompt": "a", "response": "b", "split": "sent by anna.schmidt.mueller.h@example.com"},
    ],
)
def test_a_reason_shows_nothing_that_is_cut(record: dict[str, Any]) -> None:
    with pytest.raises(NotARecord) as caught:
        read(record)
    assert "…" not in str(caught.value) and re.search(r"got an? \w+$|is of a text;", str(caught.value))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["a" * 60, "mail anna.schmidt@example.com"], "it has " + "a" * 60 + ";"),
        (["a" * 40, "b" * 38], "it has " + "a" * 40 + ", " + "b" * 38 + ";"),
        (["anna.schmidt@" + "a" * 90], "it has longer ones;"),
    ],
)
def test_a_reason_names_whole_keys(keys: list[str], words: str) -> None:
    with pytest.raises(Unfit) as caught:
        read(dict.fromkeys(keys, 1))
    assert words in str(caught.value)


_TEXT = st.text(min_size=1).filter(lambda text: text.strip())


@given(turns=st.lists(_TEXT, min_size=1, max_size=5), reply=_TEXT, rejected=st.one_of(st.just(""), _TEXT))
def test_rows_are_read_back_as_they_were(turns: list[str], reply: str, rejected: str) -> None:
    roles = ["user", "assistant"] * 3
    texts = turns if len(turns) % 2 else turns[:-1]
    chat = tuple(Turn(role=role, text=text) for role, text in zip(roles, texts, strict=False))  # type: ignore[arg-type]
    fields = {"rejected": rejected} if rejected else {}
    if chat:
        wanted = example("", reply, chat=chat, id="n1", story="s", number=7, **fields)
        assert read(row_of(wanted, "n1")) == [wanted]


def test_a_curated_file_is_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps(row_of(example("Who?", "Ann."), "a")) + "\n")
    assert [(each.id, each.chosen) for each in read_curated(file)] == [("a", "Ann.")]
    file.write_text("{}\n")
    with pytest.raises(DataError, match=r"train\.jsonl, line 1: is in no layout"):
        list(read_curated(file))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(read_curated(tmp_path / "other.jsonl"))
