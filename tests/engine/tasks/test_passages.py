"""Documents are cut into passages: no word is lost, and none of them is longer than what was asked for."""

from hypothesis import given
from hypothesis import strategies as st

from engine.tasks.passages import passages

WORDS = st.sampled_from(["a", "light", "Rays.", "(so)", "and,", "why?", "Newton", "3.5"])
BREAKS = st.sampled_from([" ", "\n", "\n\n", "\n \n", "  "])


def texts(text: str, most: int, *, wrapped: bool = True) -> list[str]:
    return [cut.text for cut in passages(text, most, wrapped=wrapped)]


def test_whole_paragraphs_are_joined_as_long_as_they_fit() -> None:
    text = "one two three\n\nfour five\n\nsix seven eight nine\n"
    assert texts(text, 5) == ["one two three\n\nfour five", "six seven eight nine"]
    assert [cut.line for cut in passages(text, 5, wrapped=True)] == [1, 5]


def test_a_long_paragraph_is_cut_where_sentences_end_and_a_long_sentence_between_words() -> None:
    text = "One two. Three four? five six. Seven."
    assert texts(text, 4) == ["One two.", "Three four? five six.", "Seven."]
    assert texts(text, 5) == ["One two.", "Three four? five six. Seven."]
    assert texts("a b c d e f g", 3) == ["a b c", "d e f", "g"]


def test_line_breaks_of_a_page_are_no_part_of_its_text() -> None:
    assert texts("The Light\nof the   Sun\nis white.\r\n\r\nNext\rline.", 50) == [
        "The Light of the   Sun is white.\n\nNext line."
    ]
    assert texts("A verse\nand another", 50, wrapped=False) == ["A verse\nand another"]


def test_code_lists_tables_and_headings_keep_their_lines() -> None:
    page = "# Title\nFirst line\nand second.\n\n- one\n- two\n  more\n\n| a | b |\n| - | - |\n\n"
    code = "```python\na = 1\n\nb = 2\n```\nThen text\ngoes on."
    assert texts(page + code, 200) == [
        "# Title\nFirst line and second.\n\n- one\n- two\n  more\n\n| a | b |\n| - | - |\n\n"
        "```python\na = 1\n\nb = 2\n```\nThen text goes on."
    ]


def test_code_is_one_paragraph_in_any_document() -> None:
    code = "```python\na = 1\n\nb = 2\n```"
    for wrapped in (True, False):
        assert texts(f"Some text.\n\n{code}", 8, wrapped=wrapped) == ["Some text.", code]


def test_nothing_comes_of_nothing() -> None:
    assert texts("", 20) == texts(" \n\n \n", 20) == []


@given(st.lists(st.tuples(WORDS, BREAKS), min_size=1, max_size=60), st.integers(2, 9), st.booleans())
def test_no_word_is_lost_and_no_passage_is_too_long(
    pieces: list[tuple[str, str]], most: int, wrapped: bool
) -> None:
    text = "".join(word + between for word, between in pieces)
    found = texts(text, most, wrapped=wrapped)
    assert " ".join(found).split() == text.split()
    assert all(0 < len(each.split()) <= most for each in found)
    assert all(each == each.strip() for each in found)
