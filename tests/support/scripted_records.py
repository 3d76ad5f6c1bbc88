"""Campaigns of scripted models on a file of records: real suite, registry and gate, with no training."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from configs.load import from_tree
from configs.schema import Config
from engine.disk.steps import Run
from engine.measure.bench import Bench
from engine.models.identity import Model
from engine.records import Duel, RoundRecord, from_json
from engine.registry.registry import Registry
from engine.sample.protocol import Request
from loops import round as one_round
from loops.bookends import begin
from loops.campaign import _rounds
from loops.context import Context
from loops.spent import suite_for
from tests.support.model_dirs import SETTINGS
from tests.support.plans import TWO_CORES
from tests.support.registry import store
from tests.support.scripted import ANSWERS, Script, Scripted
from tests.support.scripted_campaign import challenger, manifest_of, store_dir
from tests.support.verifiers import kept_pool

LINE = "test/records"


def empty_model(folder: Path) -> Path:
    """A directory that passes for a model where nobody runs it: one tensor of one number."""
    folder.mkdir()
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "tokenizer_config.json").write_text(SETTINGS)
    return folder


class Sums(Scripted):
    """Answers sums by their ids; `interrupted` is the number of calls after which it is stopped."""

    interrupted: int | None = None

    def text(self, script: Script, request: Request) -> str:
        assert not isinstance(request.messages, str)
        prompt = request.messages[-1].text
        if prompt in ANSWERS:
            return super().text(script, request)
        share = int(request.problem_id[:8], 16) / 16**8
        if (share - script.start) % 1.0 >= script.skill:
            return "no idea"
        return str(sum(map(int, re.findall(r"\d+", prompt))))

    def sample(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        if self.interrupted is not None and len(self.calls) >= self.interrupted:
            raise KeyboardInterrupt
        return super().sample(*arguments, **options)


def config_on(base: Path, file: Path, rounds: int, task: Mapping[str, Any], **gate: Any) -> Config:
    tree = {
        "name": "records",
        "base": str(base),
        "line": LINE,
        "start": "champion",
        "task": {"name": "records", "file": str(file)} | dict(task),
        "stop": {"rounds": rounds},
        "final": {"num_problems": 5},
        "baseline": None,
        "warm_start": None,
        "loop": {"probe": {"num_problems": 10}, "num_problems": 20},
        "gate": {
            "looks": 2,
            "look_size": 10,
            "carry": {"problems": 20, "prove_every": 2},
            "pass_at_k": {"num_problems": 6, "k": 2, "margin": 0.5},
        }
        | gate,
    }
    return from_tree(tree, "test")


@contextmanager
def campaign(home: Path, config: Config, sampler: Sums, run_id: str) -> Iterator[Context]:
    """A campaign from champion m0."""
    home.mkdir(exist_ok=True)
    registry, base = Registry(home), Model.of(Path(str(config.base)))
    if registry.line(LINE).champion is None:
        store(registry, home, "m0")
        registry.promote(LINE, "m0", run_id="first", round=0, expected_epoch=0, baseline=True)
    run = Run.create(home, config, run_id)
    try:
        start = begin(run)
        sampler.models[base.path.name] = Script(skill=0.0, reports=base.id)
        with kept_pool("exact", seconds=5.0) as pool:
            bench = Bench(sampler, pool, "", 1.0, "")
            yield Context(
                run=run,
                config=config,
                plan=TWO_CORES,
                suite=suite_for(config, run),
                bench=bench,
                judges=bench,
                registry=registry,
                base=base.path,
                start=Model(id=start.champion, path=registry.path(start.champion)),
                begun=start,
            )
    finally:
        run.close()


def play(
    home: Path,
    config: Config,
    scripts: Mapping[str, Script],
    monkeypatch: pytest.MonkeyPatch,
    run_id: str = "r",
    interrupted: int | None = None,
    first: int = 1,
) -> list[RoundRecord]:
    """Play all rounds with challengers c1, c2, … from `first`, each of which draws records to learn."""

    def train(context: Context, number: int, parent: Model, seen: frozenset[str]) -> Any:
        learnt = context.suite.draw(20, split=f"propose-{number}", seed=0, exclude=seen)
        name = f"c{number + first - 1}"
        made = challenger(name, parent.id, scripts[name].nll)
        context.registry.add(store_dir(home, name), manifest_of(made))
        return made, None, seen | {problem.id for problem in learnt}

    monkeypatch.setattr(one_round, "_challenger", train)
    sampler = Sums(**scripts)
    sampler.interrupted = interrupted
    with campaign(home, config, sampler, run_id) as context:
        records, _, _ = _rounds(context)
        return records


def asked_in(home: Path, run_id: str, stages: str) -> list[str]:
    """Ids of the problems of a run's stages whose names match, in order, each once."""
    found: dict[str, None] = {}
    for file in sorted((home / "runs" / run_id / "rounds").glob(f"*/{stages}.jsonl")):
        for line in file.read_text().splitlines():
            found[from_json(Duel, line).problem.id] = None
    return list(found)
