"""Every dataset of the package is in one of two tables, and what they say of it holds."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.gym.package import datasets
from engine.gym.served import NOT_SERVED, SERVED

README = " ".join((Path(__file__).parents[3] / "engine" / "tasks" / "README.md").read_text().split())


def test_every_dataset_of_the_package_serves_or_has_a_reason() -> None:
    assert set(SERVED) | set(NOT_SERVED) == set(datasets())
    assert not set(SERVED) & set(NOT_SERVED)
    assert list(SERVED) == sorted(SERVED) and list(NOT_SERVED) == sorted(NOT_SERVED)
    assert all(len(reason) > 20 and not reason.endswith(".") for reason in NOT_SERVED.values())


def test_a_condition_on_the_reply_has_a_reason() -> None:
    for name, how in SERVED.items():
        assert bool(how.why) == bool(how.form or how.only_answer), name
        assert not (how.form and how.only_answer) and not (how.reads and how.only_answer), name
        re.compile(how.form)


def test_no_reply_reaches_eval_unseen() -> None:
    """A scorer that evaluates a reply has a condition on it."""
    evaluates = {
        name
        for name, (kind, _) in datasets().items()
        if re.search(r"(\beval|parse_expr)\(answer", inspect.getsource(kind.score_answer))
    }
    assert {"spiral_matrix", "countdown", "simple_integration"} <= evaluates
    assert not {name for name in evaluates & set(SERVED) if not SERVED[name].form}


def test_the_readme_lists_what_does_not_serve() -> None:
    assert f"{len(SERVED)} of its {len(SERVED) + len(NOT_SERVED)} datasets" in README
    assert f"{len(NOT_SERVED)} datasets do not serve" in README
    for name in NOT_SERVED:
        assert f"`{name}`" in README, name


@pytest.mark.parametrize(
    ("arguments", "shown", "code"),
    [
        ([], "  word_ladder: the same seed gives another entry", 0),
        (["chain_sum"], "\n  max_terms: 6\n", 0),
        (["coin_flip"], "only the dataset's own answer passes, because in the scorer the first digits", 0),
        (["chain_sun"], "no dataset 'chain_sun' (did you mean 'chain_sum'?)", 2),
    ],
)
def test_datasets_are_listed_and_shown(arguments: list[str], shown: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.gym", *arguments], capture_output=True, text=True, check=False
    )
    assert shown in done.stdout + done.stderr
    assert done.returncode == code and "Traceback" not in done.stderr
