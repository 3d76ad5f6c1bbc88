"""Real engines prove their weights while judging, and one that keeps its old ones judges nothing."""

import logging
from pathlib import Path

import pytest

from configs.schema import Sampler
from engine.models.identity import model_id
from engine.models.reference import References, computed
from engine.sample.group import SamplerGroup
from engine.sample.protocol import SamplerError
from tests.support.stale import FaultyGroup, neighbour
from tests.support.tiny_model import make_tiny_model

pytestmark = pytest.mark.slow

TEXT = "The ferry left the harbour a little after six."
SETTINGS = Sampler(max_num_seqs=8, max_model_len=512, kv_cache_gib=0.1, dtype="bfloat16", max_new_tokens=8)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A tiny model, one whose layers differ from it a little, and another one."""
    folder = tmp_path_factory.mktemp("near")
    first = make_tiny_model(folder / "first", spread=0.1)
    return [first, neighbour(first, folder / "near", 0.1, seed=1), make_tiny_model(folder / "other", seed=2)]


def test_true_swaps_are_proved_and_references_are_computed_once(
    sampler: SamplerGroup, models: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "engine.sample.group"):
        scores = [sampler.score(model, [TEXT])[0].nll for model in (*models, *models)]
    assert scores[:3] == scores[3:] and len(set(scores)) == 3
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3 and all(line.startswith("the engine holds") for line in told), told
    for model in models:
        assert sampler.references.get(model_id(model)) == computed(model)


def test_an_engine_that_keeps_old_weights_is_started_anew_and_a_second_one_ends_the_run(
    local_ray: None, models: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, near, other = models
    fault, references = tmp_path / "fault", References(tmp_path)
    with FaultyGroup(
        fault, SETTINGS, first, threads=2, gpus=0, share_gpu=False, references=references
    ) as group:
        true = [group.score(model, [TEXT])[0].nll for model in (first, near, first)]
        assert true[0] == true[2] != true[1] and group.num_started == 1
        fault.write_text("half")
        assert group.score(near, [TEXT])[0].nll == pytest.approx(true[1], abs=1e-3)
        assert group.num_started == 2, "the first engine held half of the old weights"
        (told,) = [each.getMessage() for each in caplog.records if "started anew" in each.getMessage()]
        assert f"an engine is started anew: the engine does not hold {model_id(near)}" in told
        fault.write_text("all")
        with pytest.raises(SamplerError, match=f"does not hold {model_id(other)}.* that failed likewise"):
            group.score(other, [TEXT])
    assert references.get(model_id(near))
