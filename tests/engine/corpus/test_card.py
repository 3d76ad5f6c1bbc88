"""The data card shows what was made of some files, and nothing in them leaves its place on the page."""

import html
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from engine.corpus.card import write_card
from engine.corpus.stations import Curated, Histogram, Source, Tally
from engine.records import Turn
from engine.tasks.examples import Example
from tests.support.examples import example
from tests.support.report import HOSTILE, Tags


def curated(folder: Path, text: str = "Why?", before: str = "1f2e3d4c5b6a7988") -> Curated:
    """A snapshot whose every free text is `text`."""
    chat = (Turn(role="system", text=text), Turn(role="user", text=text))
    sample: Example = example("", text, chat=chat, file=text, id=text)
    pair: Example = example(text, text, rejected=text, number=12, file=text)
    return Curated(
        directory=folder,
        snapshot="0123456789abcdef",
        before=before,
        sources=(Source(file=text, sha256="ab" * 32, lines=1234),),
        settings={"seed": 0, "harm": {"words": text}},
        counts={
            "layout": Tally(entered=1234, left=1200, removed={"json": 34}),
            "private": Tally(entered=1200, left=1200, noted={"mail": 7}),
            "quality": Tally(entered=1200, left=1100, removed={"cut_off": 90, "echo": 10}),
        },
        splits={"train": 880, "validation": 110, "test": 110},
        added={"train": 80, "validation": 10, "test": 10},
        gone=3,
        histograms={"prompt": Histogram((0, 32, 64), (700, 400)), "reply": Histogram((0, 32), (1100,))},
        samples={"train": (sample, pair), "validation": (), "test": (sample,)},
    )


def card(folder: Path, **fields: str) -> str:
    path = folder / "card.html"
    write_card(curated(folder, **fields), path)
    return path.read_text()


def test_a_card_shows_counts_histograms_and_samples(tmp_path: Path) -> None:
    text = Tags(card(tmp_path)).text
    for said in (
        "1,100 examples from 1,234 lines",
        "snapshot 0123456789 , after 1f2e3d4c5b",
        "100 of them are new since the snapshot before; 3 of its examples are no longer there.",
        "train 880 80 new",
        "quality 1,200 1,100 100",
        "quality: cut off 90 layout: json 34 quality: echo 10",
        "Pieces, by kind mail 7",
        "Characters of a prompt 0 to 31 700 32 to 63 400",
        "Why?, line 12 pair",
        "ab" * 32,
    ):
        assert said in text, said


def test_a_first_snapshot_has_none_before(tmp_path: Path) -> None:
    assert "snapshot before" not in card(tmp_path, before="")


def test_the_page_loads_nothing_and_its_style_has_the_hash_of_its_policy(tmp_path: Path) -> None:
    page = card(tmp_path)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in html.unescape(page)
    rest = page.replace(style[0], "")
    assert " style=" not in rest and "<script" not in rest
    assert "http" not in rest.replace("http-equiv", "")


def test_text_of_files_cannot_leave_its_place(tmp_path: Path) -> None:
    clean, dirty = Tags(card(tmp_path)), Tags(card(tmp_path, text=HOSTILE))
    assert dirty.tags == clean.tags
    assert {name for name, _ in dirty.attributes} == {name for name, _ in clean.attributes}
    assert "\u202e" not in card(tmp_path, text=HOSTILE) and "⟨U+202E⟩" in dirty.text


def test_a_card_is_replaced_as_a_whole(tmp_path: Path) -> None:
    card(tmp_path)
    card(tmp_path, text="How?")
    assert [path.name for path in tmp_path.iterdir()] == ["card.html"]
