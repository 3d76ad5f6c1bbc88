"""Where the answer stands in a text."""

import pytest

from configs.scorers import After, Find
from engine.answers import describe_find, find_answer


@pytest.mark.parametrize(
    ("text", "find", "found"),
    [
        (" all of it\n", "whole", "all of it"),
        ("one\ntwo\n \n", "last_line", "two"),
        ("", "last_line", ""),
        ("\\boxed{1} then \\boxed{\\frac{1}{2}}.", "boxed", "\\frac{1}{2}"),
        ("\\boxed {x}", "boxed", "x"),
        ("\\boxed{\\}}", "boxed", "\\}"),
        ("\\boxed{x", "boxed", ""),
        ("boxed{x}", "boxed", ""),
        ("\\boxed and {x}", "boxed", ""),
        ("a #### 1\nb ####  2 \nc", After(after="####"), "2"),
        ("The ANSWER IS: 7", After(after="answer is:"), "7"),
        ("####\n7", After(after="####"), ""),
        ("7", After(after="####"), ""),
        # The capital of this letter is two letters long: places must not shift.
        ("ßßß ANSWER: 7", After(after="ANSWER:"), "7"),
    ],
)
def test_the_answer_is_found(text: str, find: Find, found: str) -> None:
    assert find_answer(text, find) == found


def test_a_place_is_described_in_words() -> None:
    assert describe_find("boxed") == r"the last \boxed{…}"
    assert describe_find(After(after="####")) == "what follows the last '####' in its line"
