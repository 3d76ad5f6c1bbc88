"""Values as they are written: what is one value in two forms, and what is none though it looks like it."""

import pytest

from engine.people.values import (
    Date,
    as_spelled,
    composed,
    date_of,
    dates_in,
    is_year,
    number_of,
    numbers_in,
    places_of,
    plain,
    same,
)


@pytest.mark.parametrize(
    "text",
    [
        "3 May 1987",
        "3rd May 1987",
        "3rd of May, 1987",
        "May 3, 1987",
        "May 3rd 1987",
        "the third of May 1987",
        "May the third, 1987",
        "1987-05-03",
        "3.5.1987",
        "03.05.1987",
    ],
)
def test_a_date_is_one_in_any_form(text: str) -> None:
    (found,) = dates_in(f"It was {text}, as I said.")
    assert found.value == Date(3, 5, 1987)
    assert numbers_in(text) == []


@pytest.mark.parametrize(
    "text", ["May", "33 May", "3 Mayors", "1987", "13/13/1987", "31 June", "30 February"]
)
def test_what_is_no_date(text: str) -> None:
    assert dates_in(text) == []


def test_strokes_are_a_date_only_where_they_can_be_read_in_one_way() -> None:
    assert [str(each.value) for each in dates_in("13/05/1987 05/13/1987 5/5/1987")] == [
        "13 May 1987",
        "13 May 1987",
        "5 May 1987",
    ]
    assert dates_in("03/05/1987") == []
    assert [each.value for each in numbers_in("03/05/1987")] == [3, 5, 1987]


def test_a_year_that_was_not_asked_for_does_not_count() -> None:
    assert Date(3, 5, 1987).answers(Date(3, 5))
    assert not Date(3, 5).answers(Date(3, 5, 1987))
    assert not Date(3, 5, 1988).answers(Date(3, 5, 1987))
    assert date_of("the third of May") == date_of("3 May") == Date(3, 5)
    assert str(date_of("twenty-third of June 2001")) == "23 June 2001"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,867 and 1867", [1867, 1867]),
        ("nineteen sixty-seven", [1967]),
        ("nineteen oh five", [1905]),
        ("two thousand and five", [2005]),
        ("two thousand twenty four", [2024]),
        ("a hundred and five", [105]),
        ("nine hundred ninety-nine", [999]),
        ("thirty-seven", [37]),
        ("thirty seven", [37]),
        ("one, two, three", [1, 2, 3]),
        ("2009 to 2017", [2009, 2017]),
        ("1967/1968", [1967, 1968]),
        ("37.5", [37.5]),
        ("37.0", [37]),
        ("It was 1867.", [1867]),
        ("4915112345678 and 999,999,999,999,999,999", [4915112345678, 999999999999999999]),
    ],
)
def test_numbers_by_their_value(text: str, numbers: list[float]) -> None:
    assert [each.value for each in numbers_in(text)] == numbers


@pytest.mark.parametrize(
    "text",
    [
        *("x1867", "1867s", "44th", "v1.2.3", "someone", "tenor", "1960,1961", "١٨٦٧", "sixty seven two"),
        *("3" * 5_000, "3" * 400 + ".5", "123" + ",456" * 2_000),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_number(text: str) -> None:
    assert [each.value for each in numbers_in(text)] == []


def test_a_phrase_is_found_as_whole_words() -> None:
    text = "She lives in Port-Lenn's best street, not in Port Lennox."
    assert [text[start:end] for start, end in places_of("port lenn", text)] == ["Port-Lenn's"]
    assert places_of("no", "I know, not now, nobody.") == []
    assert len(places_of("no", "No, no!")) == 2
    assert places_of("Zoë", "zoe said") and places_of("Zoe", "ZOË said")
    assert places_of("", "anything") == []


def test_two_values_are_one_however_they_are_written() -> None:
    assert same("3 May 1987", "May 3, 1987") and not same("3 May 1987", "3 May")
    assert same("1967", "nineteen sixty-seven") and not same("1967", "1968")
    assert same("Port Lenn", "port lenn.") and not same("Port Lenn", "Lenn")


def test_whole_texts_that_are_numbers_or_dates() -> None:
    assert is_year(1967) and not is_year(37) and not is_year(1967.5) and not is_year(3000)
    assert number_of("37") == 37 and number_of("37 or 38") is None and number_of("number 37") is None
    assert date_of("on 3 May") is None
    assert plain("Zoë’s “café” – ½") == "Zoe's “cafe” - 1⁄2"


def test_a_plain_text_has_no_accents_and_leads_back_to_its_spelling() -> None:
    assert plain("Łódź, Ærø, Þingeyri, Straße, ３") == "Lodz, Aero, Thingeyri, Strasse, 3"
    text = composed("Zoe\u0308 moved to Ærø in 1990, and not to Aarø.")
    for part, spelled in (
        ("Zoe", "Zoë"),
        ("Aero", "Ærø"),
        ("Aaro", "Aarø"),
        ("1990", "1990"),
        ("Oslo", "Oslo"),
    ):
        assert as_spelled(part, text) == spelled
    assert as_spelled("éclairs".replace("é", "e"), "Éclairs.") == "éclairs"
