"""Campaigns on plain documents: the warm start learns passages, and the gate compares likelihoods."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.loops import ErrorDriven
from configs.schema import WarmStart
from engine.measure.likelihood import likelihoods
from engine.measure.mine import UNLIKELY
from engine.models.identity import Model
from engine.records import Duel, Passage, RoundRecord, Score, TrainingRow, Weakness, from_json
from engine.registry.spent import spent_by
from engine.tasks import suite_of
from engine.tasks.fixed import Fixed
from engine.tasks.lines import PARTS
from loops import round as one_round
from loops import weak
from loops.campaign import _rounds
from loops.loop import Proposal, Read
from loops.warm_start import gold_answers
from tests.support.bag_of_words import bag_of_words
from tests.support.records_files import write_rows
from tests.support.scripted import Script
from tests.support.scripted_campaign import challenger, ends, manifest_of, store_dir
from tests.support.scripted_records import LINE, Sums, campaign, config_on, empty_model
from tests.support.text_files import library, text_settings

SCRIPTS = {
    "m0": Script(skill=0.2),
    "c1": Script(skill=0.6, nll=99.0, instructed=0.99),
    "c2": Script(skill=0.97, nll=98.0, instructed=0.99),
}


WEAK = Weakness(
    slice="all",
    fault=UNLIKELY,
    rate=0.9,
    elsewhere=0.1,
    low=0.8,
    high=1.0,
    p_adjusted=0.01,
    quota=9,
    signal="likelihood",
    limit=1.1,
)


class Readers(Sums):
    """Finds a share of the passages likelier than the rest, which ones their words say."""

    def score(self, model: Path, texts: Any) -> list[Score]:
        script = self.models[model.name]
        scores = super().score(model, texts)
        return [
            score._replace(nll=score.nll - 5.0) if self.knows(script, text) else score
            for score, text in zip(scores, texts, strict=True)
        ]

    def knows(self, script: Script, text: str) -> bool:
        return text.startswith("Chapter") and int(text.split()[8]) % 100 < 100 * script.skill


def config_for(tmp_path: Path) -> Any:
    config = config_on(empty_model(tmp_path / "base"), write_rows(tmp_path / "no.jsonl", []), 2, {})
    return config.model_copy(update={"task": text_settings(library(tmp_path, 200), words=20)})


def test_the_warm_start_learns_passages_of_train_as_plain_text(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    suite = suite_of(config)
    assert isinstance(suite, Fixed)
    context: Any = SimpleNamespace(
        suite=suite,
        config=config,
        bench=SimpleNamespace(system="Be brief."),
        stage=lambda number, name: name,
        run=SimpleNamespace(step=lambda name, cls, make: make()),
    )
    data, seen = gold_answers(context, WarmStart(proofs=30), frozenset())
    texts = {record.problem.id: record.problem.truth for record in suite.records("train")}
    assert len(data.rows) == 30 and {row.problem_id for row in data.rows} == seen <= texts.keys()
    for row in data.rows:
        assert row == TrainingRow(problem_id=row.problem_id, chat=(), chosen=row.chosen, ends=False)
        assert texts[row.problem_id] == Passage(text=row.chosen)


def test_a_campaign_on_texts_proves_what_became_likelier_on_fresh_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, home = config_for(tmp_path), tmp_path / "home"
    # A loop that looks for slices has embeddings at hand.
    config = config.model_copy(update={"loop": ErrorDriven(clusters=5)})
    monkeypatch.setattr(weak, "embedder", lambda: bag_of_words)

    def train(context: Any, number: int, parent: Model, seen: frozenset[str]) -> Any:
        learnt = context.suite.draw(20, split=f"propose-{number}", seed=0, exclude=seen)
        made = challenger(f"c{number}", parent.id, SCRIPTS[f"c{number}"].nll)
        context.registry.add(store_dir(home, made.model_id), manifest_of(made))
        probe = context.suite.draw(6, split=f"probe-{number}", seed=0, exclude=seen)
        given = likelihoods(context.bench, parent, probe)
        proposal = Proposal(
            data=None,
            seen=frozenset(),
            weaknesses=(WEAK,),
            read=Read(passages=tuple(probe), given=tuple(given), limit=WEAK.limit or 0.0),
        )
        return made, proposal, seen | {problem.id for problem in [*learnt, *probe]}

    monkeypatch.setattr(one_round, "_challenger", train)
    with campaign(home, config, Readers(**SCRIPTS), "r") as context:
        records, _, _ = _rounds(context)
    assert ends(records) == ["carried", "proven trial"]
    trial = records[1].trial
    assert trial is not None
    assert [check.name for check in trial.checks] == [
        "superiority",
        "alive",
        "gain",
        "english",
        "instructions",
    ]

    suite, spent = suite_of(config), spent_by(home, LINE)
    assert isinstance(suite, Fixed)
    for part in PARTS:
        assert spent.get(part, frozenset()) <= {record.problem.id for record in suite.records(part)}
    looks = sorted((home / "runs" / "r" / "rounds" / "002").glob("look-*.jsonl"))
    duels = [from_json(Duel, line) for look in looks for line in look.read_text().splitlines()]
    books = [duel.problem.truth.text.split()[4] for duel in duels if isinstance(duel.problem.truth, Passage)]
    assert len(books) == len(set(books)) == len(duels), "one passage of each document"
    assert {duel.problem.id for duel in duels} == spent["gate"]

    # What was weak is asked once more, of passages that nothing had used, and the probe is read again.
    for number, record in enumerate(records, 1):
        (closure,), (panel,) = record.closures, record.panels
        asked = (home / "runs" / "r" / "rounds" / f"00{number}" / "closing.jsonl").read_text().splitlines()
        assert not closure.at_gate and closure.num == len(asked) > 0, number
        assert panel.rows[0] == ("passages", "number", "before", "after") and len(panel.rows) == 4

    # What broke elsewhere is kept with both replies, once where carrying and trial are of one pair of models.
    (record,) = [from_json(RoundRecord, (looks[0].parent / "round.json").read_bytes())]
    assert record == records[1]
    assert [(each.suite, each.before_id, each.after_id) for each in record.watched] == [
        ("english", "m0", "c2"),
        ("instructions", "m0", "c2"),
    ]
    instructions = record.watched[1]
    assert 0 < len(instructions.broken) < 8 and instructions.num_mended == 0
    assert instructions.examples[0].after == "I would rather prove things."
    assert instructions.examples[0].before and instructions.before != instructions.after
    assert instructions.before[-1].key == instructions.after[-1].key == "spread"
