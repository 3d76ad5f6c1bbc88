"""The report shows what broke elsewhere: examples with both replies, escaped, open where the check failed."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.measure.diversity import figures_of
from engine.records import Broken, Check, RoundRecord, Watched
from engine.report.campaign import harmed, write_report
from tests.support.fixtures_report import FIRST, SECOND, WARM, judged, warm_start, write_run
from tests.support.report import HOSTILE, Tags

SEEN = Watched(
    suite="instructions",
    before_id=WARM,
    after_id=SECOND,
    broken=("capital-01", "capital-02", "sum-04"),
    num_mended=1,
    examples=(
        Broken(id="capital-01", asked="What is the capital of France?", before="Paris.", after="Max is red."),
        Broken(id="sum-04", asked="What is 3 + 4?", before="", after=HOSTILE),
    ),
    before=figures_of(["Paris.", "It is 7."]),
    after=figures_of(["Max is red."] * 2),
)


def round_with(watched: Watched, passed: bool) -> RoundRecord:
    record = judged(2)
    check = Check(name=watched.suite, observed="95 % -> 60 %", threshold="drop under 5 %", passed=passed)
    decision = replace(record.decision, checks=(*record.decision.checks, check))
    return replace(record, decision=decision, watched=(watched,))


@pytest.mark.parametrize("passed", [True, False])
def test_what_broke_is_shown_and_open_where_it_refused_the_challenger(tmp_path: Path, passed: bool) -> None:
    record = round_with(SEEN, passed)
    assert harmed(record, SEEN) is not passed
    source = write_report(write_run(tmp_path, (warm_start(), judged(1), record))).read_text()
    page = Tags(source).text
    for words in (
        "Elsewhere: what got worse",
        "instructions 3 worse, 1 better",
        "What is the capital of France?",
        "Before Paris. After Max is red.",
        "Before (not kept)",
        "different words 100 % 50 %",
        "All that got worse: capital-01, capital-02, sum-04",
    ):
        assert words in page, words
    assert ('<details class="sample" open>\n<summary><strong>instructions' in source) is not passed
    assert "<script>" not in source and "\u202e" not in source, "text of a model stays text"


def test_a_check_of_another_pair_of_models_is_not_this_ones(tmp_path: Path) -> None:
    record = round_with(SEEN, passed=False)
    assert not harmed(record, replace(SEEN, after_id=FIRST))
    assert not harmed(record, replace(SEEN, suite="english"))


def test_a_round_whose_suites_were_not_asked_shows_nothing(tmp_path: Path) -> None:
    source = write_report(write_run(tmp_path, (warm_start(), judged(1)))).read_text()
    assert "what got worse" not in source
