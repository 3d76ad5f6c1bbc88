"""Filters of text: the built-in ones and a user's own."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from configs.serving import Filter
from serve.filters import FilterError, build


def test_the_first_reason_counts_and_no_filter_refuses_nothing() -> None:
    refuses = build([Filter(name="length", max_chars=5), Filter(name="regex", patterns=["x", "y+"])])
    assert refuses("abc") == ""
    assert refuses("yy") == "regex: pattern 2"
    assert refuses("xxxxxx") == "length: more than 5 characters"
    assert build([])("anything") == ""


def test_a_filter_of_a_users_own(tmp_path: Path) -> None:
    file = tmp_path / "shouting.py"
    file.write_text("def refuses(text):\n    return 'shouting' if text.isupper() else ''\n")
    refuses = build([Filter(name=str(file))])
    assert refuses("HELLO") == "shouting: shouting"
    assert refuses("hello") == ""


def test_what_is_no_filter_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.py"
    file.write_text("")
    with pytest.raises(FilterError, match=f"filter file {file} lacks refuses"):
        build([Filter(name=str(file))])
    with pytest.raises(FilterError, match="'regexp' must be regex, length or the path"):
        build([Filter(name="regexp")])
    with pytest.raises(ValidationError, match="is no regular expression"):
        Filter(name="regex", patterns=["("])
