"""The page for blind rating: what it holds, what it keeps to itself, and how it works in a browser."""

import json
import re
import time
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from engine.disk.jsonl import RowError
from engine.gate.outcomes import CompareError
from engine.judge.rating import Exported, RatingError, export_page
from engine.judge.ratings import read_key, read_votes
from tests.support.browser import Tab, tab
from tests.support.outcomes import write_rows
from tests.support.report import HOSTILE, Tags


def row(name: object, reply: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "prompt": "Which is it?", "response": reply, **more}


def export(folder: Path, size: int = 12, seed: int | None = 3, **options: Any) -> Exported:
    """A page of two models that answer every fourth question alike."""
    old = [row(f"item-{n}", f"old {n}", model="zebra-1") for n in range(size)]
    new = [row(f"item-{n}", f"old {n}" if n % 4 == 3 else f"new {n}", model="giraffe-2") for n in range(size)]
    folder.mkdir(exist_ok=True)
    files = write_rows(folder / "o.jsonl", old), write_rows(folder / "n.jsonl", new)
    return export_page(*files, folder / "page.html", seed=seed, **options)


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL
    )
    assert found
    return json.loads(found[1])


def test_the_page_holds_the_pairs_and_nothing_of_the_models(tmp_path: Path) -> None:
    done = export(tmp_path, seed=987_654_321)
    page, key = done.page.read_text(), read_key(done.key)
    assert (done.num_shown, done.num_same) == (9, 3)
    for secret in ("zebra", "giraffe", "item-", key.salt, str(key.seed), "new_side", "o.jsonl"):
        assert secret not in page, secret
    assert key.names == ("zebra-1", "giraffe-2") and data_of(done.page)["seal"] == key.seal
    assert oct(done.key.stat().st_mode)[-3:] == "600"
    for shown, pair in zip(data_of(done.page)["pairs"], key.shown, strict=True):
        sides = {pair.new_side: pair.new, {"left": "right", "right": "left"}[pair.new_side]: pair.old}
        assert shown == {"asked": pair.asked, **sides}


def test_order_and_sides_follow_the_seed_and_the_seal_does_not(tmp_path: Path) -> None:
    first, again = (read_key(export(tmp_path / name, 40).key) for name in ("a", "b"))
    other = read_key(export(tmp_path / "c", 40, seed=4).key)
    assert first.pairs == again.pairs != other.pairs
    assert first.seal != again.seal, "the salt keeps anybody from trying out seeds"
    ids = [pair.id for pair in first.pairs]
    assert sorted(ids) == sorted(f"item-{n}" for n in range(40)) and ids != sorted(ids)
    sides = [pair.new_side for pair in first.pairs]
    assert 8 <= sides.count("left") <= 32
    drawn = [read_key(export(tmp_path / name, 40, seed=None).key).seed for name in ("d", "e")]
    assert drawn[0] != drawn[1]


def test_some_of_the_pairs_are_drawn(tmp_path: Path) -> None:
    done = export(tmp_path, 40, num=10)
    assert done.num_shown + done.num_same == 10 == len(read_key(done.key).pairs)


def test_the_pages_own_policy_allows_its_script_and_style_alone(tmp_path: Path) -> None:
    page = export(tmp_path).page.read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in (style, script)]
    policy = policy.replace("&#39;", "'")
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    attributes = {name for name, _ in Tags(page).attributes}
    assert not {"src", "href", "style", "onclick", "onload"} & attributes


def test_replies_of_ratchet_eval_are_read(tmp_path: Path) -> None:
    asked = {"turns": ["Hello.", "How many?"], "story": "s"}
    old = write_rows(tmp_path / "o.jsonl", [{"id": 1, **asked, "replies": ["Hi.", "4"]}])
    new = write_rows(tmp_path / "n.jsonl", [{"id": 1, **asked, "replies": ["Hi.", "5"], "pass": True}])
    (pair,) = read_key(export_page(old, new, tmp_path / "page.html").key).pairs
    assert (pair.id, pair.story) == ("1", "s") and pair.asked == "Turn 1:\nHello.\n\nTurn 2:\nHow many?"
    assert pair.new == "Reply to turn 1:\nHi.\n\nReply to turn 2:\n5"
    single = [
        write_rows(tmp_path / f"{n}.jsonl", [{"id": 1, "turns": ["Q"], "reply": str(n)}]) for n in (1, 2)
    ]
    key = read_key(export_page(*single, tmp_path / "other.html").key)
    assert (key.pairs[0].asked, key.pairs[0].old, key.pairs[0].new) == ("Q", "1", "2")
    assert key.names == ("1.jsonl", "2.jsonl"), "without a model's name the file's"


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ([row(1, "a")], [row(2, "b")], RatingError, "n.jsonl lacks 1 reply that .*o.jsonl has: 1"),
        ([row(1, "a")], [row(1, "b"), row(2, "b")], RatingError, "o.jsonl lacks 1 reply"),
        ([row(1, "a")], [row(1, "b", prompt="Else?")], RatingError, "asked different things under one id: 1"),
        ([row(1, "a")], [row(1, "a ")], RatingError, "the same reply to everything"),
        ([row(1, "a"), row(1, "b")], [row(1, "a")], RatingError, 'line 2: the id "1" is already taken'),
        ([{"id": 1, "prompt": "q"}], [row(1, "b")], RatingError, "must have one of replies, reply, response"),
        ([{"id": 1, "prompt": 5, "reply": ""}], [row(1, "b")], RatingError, "one of turns, prompt.*, got 5"),
        (
            [{"prompt": "q", "reply": ""}],
            [row(1, "b")],
            CompareError,
            "an id must be a text or a whole number",
        ),
        ([], [row(1, "b")], RatingError, "o.jsonl holds no line"),
    ],
)
def test_replies_that_cannot_be_compared_are_refused_and_nothing_is_written(
    old: list[Any], new: list[Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    files = write_rows(tmp_path / "o.jsonl", old), write_rows(tmp_path / "n.jsonl", new)
    with pytest.raises(error, match=message):
        export_page(*files, tmp_path / "page.html")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["n.jsonl", "o.jsonl"]


def test_a_page_that_ratings_may_need_is_never_overwritten(tmp_path: Path) -> None:
    done = export(tmp_path)
    for gone in (done.page, done.key):
        content = gone.read_bytes()
        gone.unlink()
        with pytest.raises(RatingError, match="--out never overwrites"):
            export(tmp_path)
        gone.write_bytes(content)
    for out in ("page.key", "."):
        with pytest.raises(RatingError, match="must name a page"):
            export_page(tmp_path / "o.jsonl", tmp_path / "n.jsonl", Path(out))
    with pytest.raises(RatingError, match="cannot be written: No such file"):
        export_page(tmp_path / "o.jsonl", tmp_path / "n.jsonl", tmp_path / "none" / "page.html")
    with pytest.raises(RowError, match="cannot be read"):
        export_page(tmp_path / "missing.jsonl", tmp_path / "n.jsonl", tmp_path / "new.html")


def test_a_page_that_cannot_be_written_leaves_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "page.html")

    monkeypatch.setattr("engine.judge.rating.write_page", full)
    with pytest.raises(RatingError, match="cannot be written: No space left"):
        export(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["n.jsonl", "o.jsonl"]


def test_halves_of_characters_are_no_text(tmp_path: Path) -> None:
    odd = {"id": "\ud800", "model": "\ud800"}
    files = [
        write_rows(tmp_path / f"{n}.jsonl", [{"prompt": "q", "response": f"{n} \udfff", **odd}]) for n in "ab"
    ]
    key = read_key(export_page(*files, tmp_path / "page.html").key)
    assert (key.pairs[0].id, key.pairs[0].old, key.names) == ("?", "a ?", ("?", "?"))


@pytest.fixture(scope="module")
def browsed() -> Iterator[Tab]:
    with tab() as opened:
        yield opened


def press(browsed: Tab, key: str, **more: bool) -> None:
    options = json.dumps({"key": key, "bubbles": True, **more})
    browsed.run(f"document.dispatchEvent(new KeyboardEvent('keydown', {options}))")


@pytest.mark.slow
def test_people_rate_in_a_browser_and_their_ratings_come_back(browsed: Tab, tmp_path: Path) -> None:
    done = export(tmp_path, 6)
    key = read_key(done.key)
    browsed.complaints.clear()
    browsed.open(done.page.as_uri())
    shown = [browsed.run(f"$('{side}').textContent") for side in ("asked", "left", "right")]
    assert shown[0] == key.shown[0].asked and sorted(shown[1:]) == sorted(
        (key.shown[0].old, key.shown[0].new)
    )
    assert (
        browsed.run("$('save').disabled") and browsed.run("$('count').textContent") == "Pair 1 of 5, 0 rated"
    )
    browsed.run("$('is-left').click()")
    press(browsed, "3")
    press(browsed, "3", repeat=True)
    press(browsed, "1", ctrlKey=True)
    assert browsed.run("$('count').textContent") == "Pair 3 of 5, 2 rated"
    # What was rated is there after a reload, and can be changed.
    browsed.open(done.page.as_uri())
    assert browsed.run("$('count').textContent") == "Pair 3 of 5, 2 rated"
    browsed.run("$('back').click()")
    assert browsed.run("$('is-right').classList.contains('given')")
    press(browsed, "2")
    press(browsed, "1")
    browsed.run("$('next').click()")
    press(browsed, "1")
    assert browsed.run("$('count').textContent") == "Pair 4 of 5, 4 rated", "the one that was skipped"
    press(browsed, "1")
    assert not browsed.run("$('all').hidden") and browsed.run("$('unkept').hidden")
    browsed.downloads_to(tmp_path / "saved")
    browsed.run("$('save').click()")
    ratings = tmp_path / "saved" / f"ratings-{browsed.run('state.rater')}.json"
    until = time.monotonic() + 30
    while not ratings.exists():
        assert time.monotonic() < until, "nothing was downloaded"
        time.sleep(0.05)
    assert json.loads(ratings.read_text())["ratings"] == {
        "0": "left",
        "1": "equal",
        "2": "left",
        "3": "left",
        "4": "left",
    }
    votes = [vote for vote in read_votes(key, [ratings]) if vote.pair.is_shown]
    assert [vote.sign for vote in votes] == [
        0 if place == 1 else 1 if pair.new_side == "left" else -1 for place, pair in enumerate(key.shown)
    ]
    assert browsed.complaints == []


@pytest.mark.slow
def test_text_of_a_model_does_nothing_in_the_page(browsed: Tab, tmp_path: Path) -> None:
    names = [f"q{n}" for n in range(2)]
    files = [
        write_rows(tmp_path / f"{n}.jsonl", [row(name, f"{HOSTILE} {n}", prompt=HOSTILE) for name in names])
        for n in (0, 1)
    ]
    done = export_page(*files, tmp_path / "page.html")
    assert "<img" not in done.page.read_text()
    browsed.complaints.clear()
    browsed.open(done.page.as_uri())
    assert browsed.run("document.title") == "Which reply is better?"
    assert browsed.run("document.querySelectorAll('img').length") == 0
    shown = browsed.run("$('left').textContent")
    assert shown.startswith("</pre></style><script>") and "⟨U+202E⟩⟨U+001B⟩" in shown
    assert browsed.complaints == []
