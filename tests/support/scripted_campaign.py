"""Whole campaigns on scripted models: real gate, registry, stages and report, with no training."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from configs.load import from_tree
from configs.schema import Config
from engine.disk.steps import Run
from engine.measure.bench import Bench
from engine.models.identity import Model
from engine.models.liveness import TEXTS
from engine.records import Challenger, RoundRecord, TrainFailure, TrainFault
from engine.registry.registry import Registry
from engine.registry.store import Manifest
from loops import round as one_round
from loops.bookends import begin
from loops.campaign import _rounds
from loops.context import Context
from tests.support.plans import TWO_CORES
from tests.support.registry import store
from tests.support.scripted import SUITE, VERIFIER, Script, Scripted
from tests.support.verifiers import kept_pool

LINE = "test/pawls"
GATE: dict[str, Any] = {
    "looks": 4,
    "look_size": 20,
    "entropy": 5,
    "carry": {"problems": 60, "prove_every": 2},
    "pass_at_k": {"num_problems": 20, "k": 2},
}


def config_of(
    base: Path, rounds: int, *, refusals: int | None = None, hours: float | None = None, **gate: Any
) -> Config:
    stop = {"rounds": rounds, "refusals": refusals, "hours": hours}
    tree = {"name": "pawls", "base": str(base), "line": LINE, "start": "champion", "stop": stop}
    return from_tree(tree | {"gate": GATE | gate}, "test")


def challenger(name: str, parent: str, nll: float) -> Challenger:
    return Challenger(
        model_id=name,
        path=name,
        parent_id=parent,
        training_set_id="t",
        method="sft",
        num_steps=1,
        num_tokens=1,
        tokens_per_second=1.0,
        final_loss=1.0,
        update_size=0.1,
        reference=(nll,) * len(TEXTS),
        seconds=0.0,
    )


@contextmanager
def campaign(
    home: Path, config: Config, scripts: Mapping[str, Script], run_id: str = "r", second: str = ""
) -> Iterator[Context]:
    """A campaign from champion m0; `scripts` are those of m0 and of each round's challenger c1, c2, ..."""
    home.mkdir(exist_ok=True)
    registry, base = Registry(home), Model.of(Path(str(config.base)))
    if registry.line(LINE).champion is None:
        store(registry, home, "m0")
        registry.promote(LINE, "m0", run_id="first", round=0, expected_epoch=0, baseline=True)
    run = Run.create(home, config, run_id)
    start = begin(run)
    sampler = Scripted(**scripts, **{base.path.name: Script(skill=0.0, reports=base.id)})
    verifiers = f"{VERIFIER}:verify + {VERIFIER}:{second}" if second else f"{VERIFIER}:verify"
    with kept_pool(verifiers, seconds=1.0) as pool:
        bench = Bench(sampler, pool, "", 1.0, second)
        yield Context(
            run=run,
            config=config,
            plan=TWO_CORES,
            suite=SUITE,
            bench=bench,
            judges=bench,
            registry=registry,
            base=base.path,
            start=Model(id=start.champion, path=registry.path(start.champion)),
            begun=start,
        )
    run.close()


def play(*how: Any, **more: Any) -> tuple[list[RoundRecord], Registry, Scripted]:
    """Play all rounds: see `played`."""
    records, context, _ = played(*how, **more)
    return records, context.registry, cast(Scripted, context.judges.sampler)


def played(
    home: Path,
    config: Config,
    scripts: Mapping[str, Script],
    monkeypatch: pytest.MonkeyPatch,
    run_id: str = "r",
    first: int = 1,
    second: str = "",
) -> tuple[list[RoundRecord], Context, str]:
    """Play all rounds with challengers c1, c2, ... from `first`; one without a script fails to train.

    Also returns why they ended.
    """

    def train(context: Context, number: int, parent: Model, seen: frozenset[str]) -> Any:
        name = f"c{number + first - 1}"
        if name not in scripts:
            return TrainFailure(fault=TrainFault.LOSS_EXPLODED, reason="the loss exploded"), None, seen
        made = challenger(name, parent.id, scripts[name].nll)
        source = store_dir(home, name)
        context.registry.add(source, manifest_of(made))
        return made, None, seen

    monkeypatch.setattr(one_round, "_challenger", train)
    with campaign(home, config, scripts, run_id, second) as context:
        records, _, why = _rounds(context)
        return records, context, why


def store_dir(home: Path, name: str) -> Path:
    source = home / "trained" / name
    source.mkdir(parents=True, exist_ok=True)
    (source / "model.safetensors").write_bytes(name.encode() * 1000)
    (source / "config.json").write_text("{}")
    return source


def manifest_of(made: Challenger) -> Manifest:
    return Manifest(
        model_id=made.model_id,
        parent_id=made.parent_id,
        training_set_id=made.training_set_id,
        config_hash="c",
        seed=0,
        code_version="v",
        decision=None,
        reference=made.reference,
    )


def ends(records: Sequence[RoundRecord]) -> list[str]:
    """The end of each round, with `trial` where one was held and `back` where the line was given up."""
    found = []
    for record in records:
        due = record.due
        words = [record.end.value]
        words += ["trial"] if due and due.trial else []
        words += ["back"] if due and due.returned else []
        found.append(" ".join(words))
    return found
