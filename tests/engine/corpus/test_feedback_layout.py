"""What users said of answers, read as examples: what makes a pair, what is learnt, what was taken back."""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.curation import Curation
from engine.corpus.feedback import Gathered, Readable, Said, feedback_file, gather, readable, stands
from engine.corpus.pipeline import curate
from engine.corpus.stations import CurationError
from engine.corpus.workers import parts_of
from engine.disk.jsonl import objects
from engine.records import Turn
from engine.tasks.layouts import examples_of, object_of
from tests.support.examples import curated_rows

CHAT = (Turn(role="user", text="What is the capital of Switzerland?"),)
SAID = Said(
    id="fb-0",
    at="2026-01-01T00:00:00+00:00",
    key="k1",
    answer="chatcmpl-1",
    model="m1",
    chat=CHAT,
    reply="Zurich.",
    rating="bad",
    consent="yes",
)


def said(**changes: Any) -> Said:
    return replace(SAID, **changes)


def written(tmp_path: Path, *lines: Said) -> Path:
    file = feedback_file(tmp_path, "test/line")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(asdict(line)) + "\n" for line in lines))
    return file


def gathered(tmp_path: Path, *lines: Said) -> Gathered:
    return gather(written(tmp_path, *lines))


def test_a_better_answer_makes_a_pair(tmp_path: Path) -> None:
    (pair,), removed = gathered(tmp_path, said(better="Berne."))
    assert (pair.kind, pair.chosen, pair.rejected) == ("pair", "Berne.", "Zurich.")
    assert (pair.chat, pair.number, pair.id) == (CHAT, 1, "fb-0") and not removed


def test_praise_is_learnt_and_preferred_to_what_was_blamed(tmp_path: Path) -> None:
    good = said(id="fb-1", answer="chatcmpl-2", reply="Berne.", rating="good", key="k2")
    (learnt, pair), removed = gathered(tmp_path, good, said())
    assert (learnt.kind, learnt.chosen, learnt.rejected) == ("sft", "Berne.", "")
    assert (pair.kind, pair.chosen, pair.rejected) == ("pair", "Berne.", "Zurich.") and not removed


def test_blame_alone_teaches_nothing(tmp_path: Path) -> None:
    other = (Turn(role="user", text="And of Austria?"),)
    examples, (removal,) = gathered(tmp_path, said())
    assert not examples and (removal.station, removal.fault) == ("feedback", "only_blamed")
    praised_elsewhere = said(answer="chatcmpl-2", chat=other, reply="Vienna.", rating="good")
    assert len(gathered(tmp_path, said(), praised_elsewhere).removed) == 1


def test_a_reply_that_users_disagree_about_is_left_out(tmp_path: Path) -> None:
    examples, removed = gathered(tmp_path, said(), said(key="k2", rating="good"))
    assert not examples and [each.fault for each in removed] == ["disputed", "disputed"]
    # A better answer is one whatever others thought of this one.
    (pair,), _ = gathered(tmp_path, said(better="Berne."), said(key="k2", rating="good"))
    assert pair.chosen == "Berne."


def test_the_last_word_counts_once(tmp_path: Path) -> None:
    lines = [said(), said(id="fb-1", rating="good"), said(id="fb-2", rating=None, better="Berne.")]
    (only,), removed = gathered(tmp_path, *lines)
    assert (only.kind, only.id, only.number) == ("pair", "fb-2", 3) and not removed
    (same,), _ = gathered(tmp_path, said(better="Zurich.", rating=None))
    assert (same.kind, same.chosen) == ("sft", "Zurich."), "the same answer again is praise"
    blamed = gathered(tmp_path, said(better="Zurich."))
    assert [each.fault for each in blamed.removed] == ["only_blamed"] and not blamed.examples
    (praised,), _ = gathered(tmp_path, said(better="Berne."), said(rating="good"))
    assert (praised.kind, praised.chosen) == ("sft", "Zurich."), "who praises takes the better answer back"
    twice = gathered(tmp_path, said(rating="good"), said(rating="good"))
    assert len(twice.examples) == 1


def test_each_choice_of_an_answer_stands_for_itself(tmp_path: Path) -> None:
    learnt, pair = gathered(tmp_path, said(choice=1, reply="Berne.", rating="good"), said()).examples
    assert (learnt.chosen, pair.rejected) == ("Berne.", "Zurich.")


def test_what_is_taken_back_is_gone_also_what_was_said_of_other_choices(tmp_path: Path) -> None:
    back = Said(id="fb-9", at=SAID.at, key="k1", answer="chatcmpl-1")
    before = [said(better="Berne."), said(choice=1, better="Bern.")]
    assert gathered(tmp_path, *before, back) == Gathered([], [])
    assert len(gathered(tmp_path, *before, replace(back, key="k2")).examples) == 2, "only one's own"
    assert len(gathered(tmp_path, *before, back, said(better="Bern.")).examples) == 1, "and again"


def test_one_conversation_is_one_story(tmp_path: Path) -> None:
    longer = (*CHAT, Turn(role="assistant", text="Zurich."), Turn(role="user", text="Really?"))
    first, second, other = gathered(
        tmp_path,
        said(better="Berne."),
        said(answer="chatcmpl-2", chat=longer, reply="Yes.", better="No, Berne."),
        said(answer="chatcmpl-3", key="k2", better="Bern."),
    ).examples
    assert first.story == second.story != other.story and "k1" not in first.story


def test_curation_reads_the_examples_as_any_others(tmp_path: Path) -> None:
    system = (Turn(role="system", text="Be brief."), *CHAT)
    file = written(
        tmp_path,
        said(better="Berne."),
        said(answer="chatcmpl-2", chat=system, rating="good", reply="It is Berne."),
    )
    target = Path(readable(str(file)).path)
    rows = [object_of(line, number) for number, line in enumerate(target.read_bytes().splitlines(), 1)]
    pair, learnt = (examples_of(row, file="f", number=1)[0] for row in rows)
    assert (pair.kind, pair.chosen, pair.rejected, pair.chat) == ("pair", "Berne.", "Zurich.", CHAT)
    assert (learnt.kind, learnt.chosen, learnt.chat) == ("sft", "It is Berne.", system)
    assert target.stat().st_mode & 0o777 == 0o600
    # Anything else is read as it is.
    assert readable(str(target)) == readable(str(tmp_path / "missing.jsonl")) == Readable()


def test_what_gives_no_example_has_its_row_and_what_does_the_line_where_it_was_said(tmp_path: Path) -> None:
    vienna = (Turn(role="user", text="And of Austria? Write to me by anna.schmidt@acme-tools.com"),)
    lines = [
        said(answer="a"),
        said(answer="b", reply="It is Vienna.", chat=vienna, rating="bad"),
        said(answer="c", reply="It is Berne.", rating="good"),
        said(answer="d", reply="It is Vaduz.", rating=None, chat=vienna),
    ]
    file = str(written(tmp_path, *lines))
    curated = curate([file], Curation(), tmp_path / "out", workers=1)
    removed = objects(tmp_path / "out" / "removed.jsonl")
    assert [(each["file"], each["number"], each["fault"]) for each in removed] == [
        (file, 2, "only_blamed"),
        (file, 4, "nothing_said"),
    ]
    assert all("[mail]" in each["text"] for each in removed)
    assert {row["source"] for _, row in curated_rows(tmp_path / "out")} == {
        f"{file}, line 1",
        f"{file}, line 3",
    }
    assert list(curated.counts)[0] == "feedback"
    tally = curated.counts["feedback"]
    assert (tally.entered, tally.left) == (4, 2)
    assert tally.removed == {"only_blamed": 1, "nothing_said": 1}
    (source,) = curated.sources
    told = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert (source.file, source.lines, source.sha256) == (file, 4, told)


def test_what_is_said_meanwhile_is_not_in_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, said(better="Berne."))
    told = hashlib.sha256(file.read_bytes()).hexdigest()

    def added(*given: Any, **named: Any) -> list[Path]:
        written(tmp_path, said(better="Berne."), said(key="k2"))
        return parts_of(*given, **named)

    monkeypatch.setattr("engine.corpus.pipeline.parts_of", added)
    assert curate([str(file)], Curation(), tmp_path / "out", workers=1).sources[0].sha256 == told


def test_feedback_that_teaches_nothing_says_why(tmp_path: Path) -> None:
    file = str(written(tmp_path, said()))
    with pytest.raises(CurationError, match=r"is left of 1 line: 1 × only_blamed; the first: .*, line 1: "):
        curate([file], Curation(), tmp_path / "out", workers=1)


def test_a_line_that_is_being_written_waits(tmp_path: Path) -> None:
    file = written(tmp_path, said(better="Berne."))
    with file.open("a") as out:
        out.write('{"id": "fb-')
    assert len(gather(file).examples) == 1


def test_what_a_key_said_stands_until_it_takes_it_back(tmp_path: Path) -> None:
    back = Said(id="fb-9", at=SAID.at, key="k1", answer="chatcmpl-1")
    file = written(tmp_path, said(), said(key="k2", reply="chatcmpl-3"))
    assert [stands(file, key, "chatcmpl-1") for key in ("k1", "k2", "k3")] == [True, True, False]
    assert not stands(file, "k2", "chatcmpl-3"), "a text is no id"
    written(tmp_path, said(), back, said(key="k2"))
    assert [stands(file, key, "chatcmpl-1") for key in ("k1", "k2")] == [False, True]
    assert not stands(tmp_path / "missing.jsonl", "k1", "chatcmpl-1")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", "line 2: .*id"),
        ("not json", "line 2"),
        (json.dumps({**asdict(SAID), "rating": "fine"}), "line 2: rating"),
        (json.dumps({**asdict(SAID), "chat": []}), "line 2: is about no answer to a user"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = written(tmp_path, said())
    with file.open("a") as out:
        out.write(f"{line}\n")
    with pytest.raises(CurationError, match=message):
        gather(file)


WORDS = st.sampled_from(["Berne.", "Zurich.", "Geneva."])
LINES = st.builds(
    said,
    key=st.sampled_from(["k1", "k2"]),
    answer=st.sampled_from(["a", "b"]),
    choice=st.integers(0, 1),
    reply=WORDS,
    rating=st.sampled_from(["good", "bad", None]),
    better=st.one_of(st.just(""), WORDS),
    consent=st.sampled_from(["yes", "yes", "yes", ""]),
)


@given(st.lists(LINES, max_size=12))
def test_nothing_is_counted_twice_and_no_pair_prefers_itself(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Said]
) -> None:
    found = gathered(tmp_path_factory.mktemp("f"), *lines)
    numbers = [each.number for each in (*found.examples, *found.removed)]
    assert len(numbers) == len(set(numbers)) <= len({(each.key, each.answer, each.choice) for each in lines})
    assert all(each.chosen != each.rejected for each in found.examples)
    after: dict[tuple[str, str], int] = {}
    for number, each in enumerate(lines, start=1):
        if not each.consent:
            after[each.key, each.answer] = number
    assert all(
        number > after.get((lines[number - 1].key, lines[number - 1].answer), 0) for number in numbers
    ), "what was taken back is not used"
