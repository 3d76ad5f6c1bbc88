"""What an experiment says in sentences."""

from dataclasses import replace

import pytest

from tests.support.fixtures_experiment import write_experiment
from tune.evidence import ALL, Evidence
from tune.experiment_data import read_experiment
from tune.findings import Findings, findings_of
from tune.lessons import observations


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Findings]:
    evidence = read_experiment(write_experiment(tmp_path_factory.mktemp("e") / "run", "trials")).evidence
    assert evidence is not None
    return evidence, findings_of(evidence)


@pytest.mark.parametrize(
    ("names", "num_found", "sentence"),
    [
        (
            ("hops=2", "hops=3 negation=yes"),
            0,
            "The champion is weak in hops=2, hops=3 negation=yes, mined on 240 problems of their own.",
        ),
        (
            ("cats, tail", "ship, sea"),
            20,
            "The champion is weak in cats, tail; ship, sea, mined on 240 problems of their own "
            "(20 slices were found among them).",
        ),
        (
            (),
            20,
            "No slice of the champion is weak on 240 problems (20 slices were found among them): arms are "
            f"compared on {ALL}.",
        ),
        ((), 0, f"No slice of the champion is weak on 240 problems: arms are compared on {ALL}."),
    ],
)
def test_where_the_champion_is_weak(
    seen: tuple[Evidence, Findings], names: tuple[str, ...], num_found: int, sentence: str
) -> None:
    evidence, found = seen
    (weakness,) = evidence.ground.weaknesses
    weaknesses = tuple(replace(weakness, slice=name) for name in names)
    ground = replace(evidence.ground, weaknesses=weaknesses, num_found=num_found)
    assert observations(evidence._replace(ground=ground), found)[0] == sentence
