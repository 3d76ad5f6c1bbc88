"""Texts in another language are left out, and those of which it cannot be told are kept."""

import re

import pytest

from configs.curation import Language
from engine.corpus.language import LanguageStation, language_of
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError
from tests.support.examples import example
from tests.support.planted_texts import FOREIGN

ENGLISH = "The second chapter explains why the two of them belong together, and what became of the others."
GERMAN, FRENCH = (" ".join(FOREIGN[code][:3]) for code in ("de", "fr"))
ONLY_ENGLISH = LanguageStation(Language(allowed=["en"]))


def fault_of(station: LanguageStation, prompt: str, reply: str, rejected: str = "") -> str:
    found = station.judge(example(prompt, reply, **({"rejected": rejected} if rejected else {})))
    return found.fault if isinstance(found, Removal) else ""


@pytest.mark.parametrize("code", FOREIGN)
def test_a_language_is_told_by_a_few_sentences(code: str) -> None:
    found, chance = language_of(" ".join(FOREIGN[code]))
    assert found == code and chance > Language(allowed=[code]).least


def test_each_text_must_be_in_an_allowed_language() -> None:
    assert fault_of(ONLY_ENGLISH, ENGLISH, ENGLISH, ENGLISH) == ""
    assert fault_of(ONLY_ENGLISH, GERMAN, ENGLISH) == "language"
    assert fault_of(ONLY_ENGLISH, ENGLISH, GERMAN) == "language"
    assert fault_of(ONLY_ENGLISH, ENGLISH, ENGLISH, GERMAN) == "language"
    both = LanguageStation(Language(allowed=["en", "de"]))
    assert fault_of(both, ENGLISH, GERMAN) == "" and fault_of(both, ENGLISH, FRENCH) == "language"


def test_a_removal_names_the_text_and_the_language() -> None:
    found = ONLY_ENGLISH.judge(example(ENGLISH, GERMAN))
    assert isinstance(found, Removal)
    assert re.fullmatch(r"the reply is in 'de' with a chance of [01]\.\d\d; allowed: en", found.reason)


@pytest.mark.parametrize(
    "text",
    [
        "Guten Morgen!",
        "```\nfür jeden Eintrag in der Liste aller Kunden schreibe den Namen und die Adresse\n```",
        "for (const kunde of kunden) { ausgabe[kunde.name] = kunde.adresse; zaehler += 1; }",
        "https://beispiel.de/ein-sehr-langer-pfad-durch-den-wald-und-wieder-zurueck/noch-weiter",
        "12345 67890 " * 20,
        "",
    ],
)
def test_short_texts_code_and_links_are_in_no_language(text: str) -> None:
    assert language_of(text) == ("", 0.0)
    assert fault_of(ONLY_ENGLISH, ENGLISH, text) == ""


def test_a_reply_that_quotes_code_is_in_the_language_around_it() -> None:
    told = f"{ENGLISH}\n```\n{GERMAN}\n```\n`{GERMAN}`"
    assert language_of(told)[0] == "en"


def test_languages_that_are_hard_to_tell_apart_are_not_told_apart() -> None:
    danish = "Det er ikke let at forklare, hvorfor netop dette hus er blevet så populært i de sidste år."
    assert fault_of(LanguageStation(Language(allowed=["no"])), danish, danish) == ""


def test_a_language_must_be_sure_enough() -> None:
    unsure = LanguageStation(Language(allowed=["en"], least=1.0))
    assert fault_of(unsure, ENGLISH, GERMAN[:80]) == ""


def test_a_code_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(CurationError, match=r"language.allowed: 'qq' is no language .* can: af, .*, zu$"):
        LanguageStation(Language(allowed=["en", "qq"]))
