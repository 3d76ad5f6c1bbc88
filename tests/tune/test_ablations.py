"""An experiment on a line that has slept: arms learn the next day's facts, and it shows what they forget."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.experiment import load_experiment
from engine.disk import steps
from engine.measure.bench import Bench, Benches
from engine.people.values import places_of
from engine.records import Challenger, Night, TrainingSet, from_json
from engine.registry.lived import lived_by
from engine.tasks import suite_of
from engine.tasks.suite import of_day
from engine.verify.pool import VerifierPool
from tests.support import sleepers
from tests.support.scripted_experiment import play, script
from tests.support.sleepers import LINE, Sleeper, challenger_of, config_of, id_of, model_of
from tune import trial, workshop
from tune.arms import problems_of
from tune.ready import require_comparable

EXPERIMENT: dict[str, Any] = {
    "name": "ablations",
    "hypothesis": "Mixing the rows of all people forgets less.",
    "campaign": "campaign.yaml",
    "about": "old-facts",
    "arms": {
        "interleaved": {"loop": {"order": "interleaved"}},
        "blocked": {"loop": {"order": "blocked"}},
        "no-replay": {"loop": {"replay": {"share": 0.0}}},
    },
    "treatment": "interleaved",
    "control": "blocked",
    "seeds": 1,
    "learnt_tokens": None,
    "points": 1,
    "num_problems": 20,
    "probe": None,
}


@pytest.mark.slow
def test_arms_of_a_night_are_compared_by_what_they_forget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "environment_of", lambda _: {})
    config = config_of(tmp_path, 2)
    records, sleeper = sleepers.play(tmp_path, config, monkeypatch)
    assert all(record.decision.accepted for record in records)
    lived = lived_by(tmp_path, LINE)
    campaign = config.model_dump(mode="json", exclude={"run_id"}) | {"name": "sleep"}
    (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(campaign))
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT, sort_keys=False))
    design = load_experiment(tmp_path / "experiment.yaml")
    require_comparable(design, tmp_path)
    scripted(tmp_path, sleeper, monkeypatch)
    run, found = play(tmp_path, design)
    assert found.place == "old-facts"
    forgot = {arm: found.judged(arm, "champion") for arm in design.settings.arms}
    means = {arm: each.effect.mean for arm, each in forgot.items() if each}
    assert means["no-replay"] < -0.8 and means["blocked"] == means["interleaved"] > -0.2, means
    learnt = {arm: found.of(arm, "all", "champion") for arm in design.settings.arms}
    assert all(each and each.effect.mean > 0.8 for each in learnt.values()), "new facts are the problems"
    third = {fact.subject for fact in of_day(suite_of(config), 3).facts(3)}  # type: ignore[attr-defined]
    assert all(any(name in problem.text for name in third) for problem in problems_of(run))
    nights = [from_json(Night, file.read_bytes()) for file in run.glob("material/*/rounds/001/night.json")]
    assert {night.day for night in nights} == {3} and sum(not night.replayed for night in nights) == 1
    assert lived_by(tmp_path, LINE) == lived, "an experiment is no day of the line"


def scripted(home: Path, sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arms that know what their rows say, and of what was known before only what these rows repeat."""
    script(monkeypatch)

    @contextmanager
    def open_benches(*_: Any) -> Iterator[Benches]:
        with VerifierPool("recall", num_processes=1, seconds=30.0, memory_mib=512) as pool:
            bench = Bench(sleeper, pool, "", 0.5)
            yield Benches(bench, bench)

    def train(config: Any, data: TrainingSet, *, parent: Path, out: Path, **_: Any) -> Challenger:
        said = [row.chosen for row in data.rows]
        known = [
            list(key)
            for key, fact in sleeper.told.items()
            if any(places_of(fact.subject, text) and places_of(fact.value, text) for text in said)
        ]
        name = f"t{data.id[:8]}"
        path = model_of(home, name, known)
        return replace(challenger_of(name, id_of(parent), data, 100.0), path=str(path))

    monkeypatch.setattr(workshop, "open_benches", open_benches)
    monkeypatch.setattr(trial, "train", train)


def test_ways_to_keep_the_parents_language_are_arms_of_their_own() -> None:
    design = load_experiment("configs/sleep-ablations.yaml")
    changed = {arm: design.settings.values(arm, 0) for arm in ("sft", "mixsd", "kl")}
    of_each = {
        arm: (each["loop.targets"], each["loop.train.rehearsal_share"]) for arm, each in changed.items()
    }
    assert of_each == {"sft": ("sft", 0.0), "mixsd": ("mixsd", 0.0), "kl": ("sft", 0.4)}
    assert design.config.loop.train.rehearsal_share == 0.15, "what the other arms have"  # type: ignore[union-attr]
