"""Each heuristic finds what it is for, and leaves alone what only looks like it."""

import pytest

from configs.curation import Quality
from engine.corpus.quality import HEURISTICS, QualityStation, score_of
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError
from tests.support.examples import example

SENTENCE = "The second chapter explains why the two of them belong together, and what became of others."
STATION = QualityStation(Quality())


def fault_of(reply: str, prompt: str = "Why is that?", station: QualityStation = STATION) -> str:
    found = station.judge(example(prompt, reply))
    return found.fault if isinstance(found, Removal) else ""


FAULTY = {
    "repetitive": (f"{SENTENCE}\n" * 6, f"{SENTENCE} " * 6, "so " * 60, "no, yes, " * 40),
    "echo": (),
    "disclaimer": (
        "As an AI language model, I cannot have opinions. " + SENTENCE,
        "I'm sorry, but as an AI I don't know that.",
        "As a large language model trained by Acme, I can't say.",
    ),
    "placeholder": ("TODO", " [removed] ", "nan", "...", f"Lorem ipsum dolor sit amet, {SENTENCE}"),
    "mojibake": ("Itâ€™s the cafÃ©â€™s own recipe.", "Der MÃ¼ller grÃ¼ÃŸt schÃ¶n.", "It was \ufffd to me."),
    "symbols": ("## => *** ~ ## => *** ~ ## => *** ~",),
    "shouting": (SENTENCE.upper(),),
    "cut_off": (
        f"{SENTENCE} And then there was the",
        f"{SENTENCE} It rained, so we went home and",
        f"{SENTENCE} We bought bread,",
        "As here:\n```python\nprint(1)",
    ),
}


@pytest.mark.parametrize(("fault", "reply"), [(fault, reply) for fault in FAULTY for reply in FAULTY[fault]])
def test_a_heuristic_finds_what_it_is_for(fault: str, reply: str) -> None:
    assert fault_of(reply) == fault


def test_a_reply_that_repeats_the_prompt_is_an_echo() -> None:
    assert fault_of(f"{SENTENCE.upper()} ", SENTENCE) == "echo"
    assert fault_of("Hello there!", "Hello there!") == ""
    assert fault_of(f"Yes: {SENTENCE}", SENTENCE) == ""


def test_every_heuristic_is_tried_here() -> None:
    assert FAULTY.keys() == HEURISTICS.keys()


@pytest.mark.parametrize(
    "reply",
    [
        SENTENCE,
        "Yes",
        "N/A",
        "undefined",
        f"{SENTENCE}\n{SENTENCE}\nAnd so on.",
        "[" + ", ".join(f'{{"type": "box", "width": {i}}}' for i in range(20)) + "]",
        "```\n" + "x = f(x)\n" * 40 + "```\nThis runs it forty times.",
        "\n".join(f"{i} x 7 = {7 * i}" for i in range(1, 30)),
        "| A | B |\n| - | - |\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |\n| 7 | 8 |",
        "As an AI researcher, I can tell you that much.",
        "As an AI model gets larger, it becomes slower.",
        "Ein Müller grüßt schön, „très simple“, wie man in São Paulo sagt: não é difícil – 20 °C genügen.",
        "SELECT NAME, CITY FROM CUSTOMERS WHERE CITY = 'OSLO' AND ORDERS > 12 AND JOINED_IN <= 2019 LIMIT 7;",
        f"{SENTENCE} There is nothing to look for, and nothing to wait for",
        f"{SENTENCE}\n```\nprint(1)\n```",
        "今日はとても良い天気ですね。明日も晴れるでしょう。",
    ],
)
def test_what_only_looks_like_a_fault_is_kept(reply: str) -> None:
    assert fault_of(reply) == ""


def test_what_was_asked_for_is_kept() -> None:
    assert fault_of(SENTENCE.upper(), "Say it in all caps, please.") == ""
    assert fault_of("Lorem ipsum dolor sit amet, and so on.", "Give me lorem ipsum.") == ""


def test_the_rejected_side_of_a_pair_is_not_looked_at() -> None:
    pair = example("Why?", SENTENCE, rejected="so " * 60)
    assert STATION([pair]) == ([pair], [], {})


def test_a_user_chooses_among_the_heuristics() -> None:
    only = QualityStation(Quality(drop=["shouting"]))
    assert fault_of(SENTENCE.upper(), station=only) == "shouting" and fault_of("TODO", station=only) == ""
    assert fault_of("TODO", station=QualityStation(Quality(drop=[]))) == ""
    with pytest.raises(
        CurationError, match=r"quality.drop: 'loud' is no heuristic; there are repetitive, .*"
    ):
        QualityStation(Quality(drop=["loud"]))


def test_a_score_ranks_what_answers_at_some_length_first() -> None:
    asked = "How do I change the address of my invoices?"
    good = "To change the address of your invoices open billing, choose address, and enter the new one."
    order = [example(asked, reply) for reply in (good, "Open billing.", "Yes.")]
    scores = [score_of(each) for each in order]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 3
    assert score_of(example(asked, "so " * 300)) < score_of(example(asked, good))
    assert all(0 <= score_of(example(asked, reply)) <= 1 for reply in ("", "!", good * 50))
