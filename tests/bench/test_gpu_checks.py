"""What each check of `make gpu` says of what it finds, with the engines left out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.disk.jsonl import objects
from engine.models.identity import tensors
from engine.plan.footprint import GIB
from engine.records import Score
from engine.registry.registry import Registry
from tests.bench.gpu import large, loop, models, sampler, swap, zero2
from tests.bench.gpu.meter import Reading
from tests.bench.gpu.work import Failed, Skipped, Work, said_in
from tests.support.gpu_checks import GPU
from tests.support.load import Done
from tests.support.server_process import LINE, make_home_of, promote


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(model=tmp_path / "model", place=tmp_path)


def figures(work: Work) -> dict[str, float]:
    return {line["figure"]["name"]: line["figure"]["value"] for line in objects(said_in(work.place))}


class Campaign:
    """What `ratchet run` leaves, and what the driver showed meanwhile: 2 GiB before, 70 awake."""

    def __init__(self) -> None:
        self.code, self.rounds, self.challenger, self.asleep = 0, 1, {"model_id": "m"}, 4

    def run(self, command: list[str], *, env: dict[str, str], stdout: Any, **_: Any) -> SimpleNamespace:
        assert command[2:5] == ["ratchet", "run", loop.CONFIG]
        stdout.write(b"much else\nratchet: there is no room\n")
        at = Path(env["RATCHET_HOME"]) / "runs" / "loop"
        (at / "rounds" / "001").mkdir(parents=True)
        summary = {"seconds": 99.0, "rounds": self.rounds, "accepted": 1, "baseline": 0.25, "best": 0.5}
        summary["stop_reason"] = "The warm start was refused: it forgot."  # type: ignore[assignment]
        record = {"challenger": self.challenger, "decision": {"reason": "training: out_of_memory"}}
        lines = [
            {"stage": "baseline", "seconds": 10.0, "time": 20.0},
            {"stage": "rounds/000/train", "seconds": 5.0, "time": 30.0},
            {"stage": "rounds/001/train", "seconds": 5.0, "time": 50.0},
        ]
        steps = [
            {"round": number, "step": step, "loss": 1.0, "time": 26.0 + step / 2, "memory_mib": 2048}
            for number in (0, 1)
            for step in (1, 2, 3)
        ]
        (at / "summary.json").write_text(json.dumps(summary))
        (at / "rounds" / "001" / "round.json").write_text(json.dumps(record))
        (at / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (at / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
        return SimpleNamespace(returncode=self.code)

    @contextmanager
    def readings(self) -> Iterator[list[Reading]]:
        later = ((15.0, 70), (25.1, 70), (26.0, 0), (29.0, 12), (40.0, 71), (48.0, 13))
        used = ((5.0, 2), *((time, max(gib, self.asleep)) for time, gib in later))
        yield [Reading(time, gib * GIB) for time, gib in used]


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch) -> Campaign:
    left = Campaign()
    monkeypatch.setattr(loop, "subprocess", SimpleNamespace(run=left.run, STDOUT=subprocess.STDOUT))
    monkeypatch.setattr(loop, "readings", left.readings)
    return left


def test_the_campaign_tells_memory_awake_and_asleep(campaign: Campaign, work: Work) -> None:
    loop.run_campaign(work)
    assert figures(work) == {
        "campaign": 99.0,
        "GPU memory before": 2.0,
        "at most while sampling": 71.0,
        "sampler asleep": 4.0,
        "at most while training": 70.0,
        "SFT, a step": 0.5,
        "SFT, its worker's peak": 2.0,
        "DPO, a step": 0.5,
        "DPO, its worker's peak": 2.0,
        "strict of 80 sealed problems, warm start": 25.0,
        "champion": 50.0,
        "rounds accepted": 1.0,
    }


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"code": 2}, "`ratchet run` ended with code 2: ratchet: there is no room"),
        ({"rounds": 0}, "the campaign ended before its round: The warm start was refused: it forgot."),
        ({"challenger": None}, "the round has no challenger: training: out_of_memory"),
        ({"asleep": 60}, "the sleeping sampler keeps more than half of the GPU memory that it had"),
    ],
)
def test_a_campaign_that_did_not_do_its_part_fails(
    campaign: Campaign, work: Work, changed: dict[str, Any], why: str
) -> None:
    for name, value in changed.items():
        setattr(campaign, name, value)
    with pytest.raises(Failed) as error:
        loop.run_campaign(work)
    assert str(error.value) == why


class Group:
    """A sampler of two models that may forget the second one's weights, or the first one's, in its sleep."""

    def __init__(self, broken: str = "") -> None:
        self.broken, self.used, self.slept = broken, 60 * GIB, 0

    def score(self, model: Path, texts: Any) -> list[Score]:
        self.used = 60 * GIB
        nll = 20.0 if model.name == "model" else 30.0
        if self.broken == "swap":
            nll = 20.0
        if self.broken == f"sleep {self.slept}":
            nll += 5
        return [Score(nll, 5) for _ in texts]

    def sleep(self) -> None:
        self.slept += 1
        if self.broken != "awake":
            self.used = 10 * GIB


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("", None),
        ("awake", "sleeps and frees 0.00 GiB"),
        (
            "sleep 1",
            "does not run the first weights after sleep, by the nats that it scores: 60.0000, 75.0000",
        ),
        ("swap", "does not run other weights"),
        ("sleep 2", "does not run other weights after sleep"),
    ],
)
def test_a_sampler_must_keep_its_weights(
    monkeypatch: pytest.MonkeyPatch, work: Work, broken: str, why: str | None
) -> None:
    group = Group(broken)
    monkeypatch.setattr(sampler, "memory_used", lambda: group.used)
    if why is None:
        sampler._sleep_and_swap(work, group, Path("model"), Path("other"))  # type: ignore[arg-type]
        assert figures(work)["frees"] == 50.0
        return
    with pytest.raises(Failed, match=why):
        sampler._sleep_and_swap(work, group, Path("model"), Path("other"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statuses", "versions", "why"),
    [
        ((200, 200), "ab", None),
        ((200, 503), "ab", "1 of 2 requests failed, one with 503"),
        ((200, 200), "aa", "only a answered, of a and b"),
    ],
)
def test_a_swap_must_lose_no_request(
    monkeypatch: pytest.MonkeyPatch, work: Work, statuses: tuple[int, int], versions: str, why: str | None
) -> None:
    promoted: list[str] = []
    server = SimpleNamespace(await_champion=promoted.append)

    @contextmanager
    def serving(home: Path, *settings: str) -> Iterator[SimpleNamespace]:
        assert settings == swap.SETTINGS
        yield server

    @contextmanager
    def load(_: object) -> Iterator[list[Done]]:
        yield [Done(0.0, 0.3, status, v, "", True) for status, v in zip(statuses, versions, strict=True)]

    class Lines:
        def __init__(self, _: Path) -> None: ...

        def rollback(self, *_: str) -> None: ...

        def champion(self, _: str) -> str:
            return "a"

    for name, value in {
        "serving": serving,
        "_load": load,
        "Registry": Lines,
        "make_home_of": lambda *_: ["a", "b"],
        "varied": lambda *_: Path("varied"),
        "memory_used": lambda: 0,
        "promote": lambda *_: None,
        "time": SimpleNamespace(monotonic=lambda: 1.0, sleep=lambda _: None),
    }.items():
        monkeypatch.setattr(swap, name, value)
    if why is None:
        swap.swap_under_load(work)
        assert promoted == ["b", "a", "b", "a"]
        assert figures(work)["requests"] == 2 and figures(work)["failed or cut"] == 0
        return
    with pytest.raises(Failed, match=why):
        swap.swap_under_load(work)


@pytest.mark.parametrize(("loss", "fails"), [(0.51, False), (0.9, True)])
def test_zero_must_learn_what_is_learnt_without_it(
    monkeypatch: pytest.MonkeyPatch, work: Work, loss: float, fails: bool
) -> None:
    ended: list[bool] = []
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(shutdown=lambda: ended.append(True)))
    monkeypatch.setattr("cluster.connect.connect", lambda _: None)
    monkeypatch.setattr(zero2, "settings", lambda *keys: (zero2.WAYS["ZeRO-2"][0] in keys, None, None))
    monkeypatch.setattr(zero2, "draw", lambda *_: [])
    monkeypatch.setattr(zero2, "gold_rows", lambda *_: [])
    monkeypatch.setattr(
        zero2,
        "train_ours",
        lambda zero, *_: SimpleNamespace(final_loss=loss if zero else 0.5, tokens_per_second=1000.0),
    )
    if fails:
        with pytest.raises(Failed, match="the losses differ: 0.9000 with ZeRO-2, 0.5000 without"):
            zero2.train_both_ways(work)
    else:
        zero2.train_both_ways(work)
    assert ended and figures(work)["ZeRO-2, last losses"] == loss


def test_throughput_is_that_of_the_later_steps(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    """12 steps of 1,000 tokens: the first after 30 s, each further one after half a second."""
    made: dict[str, Any] = {}

    class Trainer:
        def add_callback(self, watch: Path) -> None:
            made["metrics"] = watch

        def train(self) -> None:
            lines = [{"step": step, "time": made["began"] + 30 + step / 2} for step in range(12)]
            made["metrics"].write_text("".join(json.dumps(line) + "\n" for line in lines))

    def trainer(job: object, model: str, tokenizer: str, material: Any) -> tuple[Trainer, int]:
        assert (model, tokenizer, len(material.learn)) == ("random", "small", 12 * large.BATCH)
        return Trainer(), 12_000

    method = SimpleNamespace(tokens=lambda *_: [SimpleNamespace(ids=range(831))], trainer=trainer)
    cuda = SimpleNamespace(max_memory_allocated=lambda: 24 * GIB)
    tokenizers = SimpleNamespace(from_pretrained=lambda _: "small")
    for name, module in {
        "torch": SimpleNamespace(cuda=cuda),
        "transformers": SimpleNamespace(AutoTokenizer=tokenizers),
        "engine.train.watch": SimpleNamespace(Watch=lambda metrics, **_: metrics),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    made["began"] = 1000.0
    monkeypatch.setattr(large, "time", SimpleNamespace(time=lambda: 1000.0, perf_counter=lambda: 0.0))
    monkeypatch.setattr(large, "load_method", lambda _: method)
    monkeypatch.setattr(large, "_on_gpu", lambda: "random")
    monkeypatch.setattr(large, "seen_by_driver", lambda: GPU)
    monkeypatch.setenv("HF_DATASETS_CACHE", "")
    large.sft(work)
    found = figures(work)
    assert found["to the end of the first step"] == 30.0
    assert found["throughput"] == pytest.approx(2000.0)
    assert found["share of the peak"] == pytest.approx(100 * 4 * 6.946e9 * 2000 / 989e12, rel=1e-3)
    assert found["peak of GPU memory"] == 24.0


@pytest.mark.slow
def test_another_version_of_a_model_can_be_promoted(tmp_path: Path) -> None:
    """In the order of the check, without a server."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    model, home = tmp_path / "model", tmp_path / "home"
    model.mkdir()
    (model / "config.json").write_text("{}")
    weights = {"model.norm.weight": torch.full((4,), 2.0).bfloat16(), "lm_head.weight": torch.ones(2, 4)}
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    other = models.varied(model, tmp_path / "other")
    changed = load_file(other / "model.safetensors")
    assert changed["model.norm.weight"].tolist() == [1.0] * 4
    assert torch.equal(changed["lm_head.weight"], weights["lm_head.weight"])
    assert load_file(model / "model.safetensors")["model.norm.weight"].tolist() == [2.0] * 4
    assert [(each.name, each.dtype, each.shape) for each in tensors(other)] == [
        (each.name, each.dtype, each.shape) for each in tensors(model)
    ]
    with safe_open(other / "model.safetensors", "pt") as opened:
        assert opened.metadata() == {"format": "pt"}
    first, second = make_home_of(home, [model, other])
    assert Registry(home).champion(LINE) == first != second
    for version in (second, first, second):
        promote(home, version)
        assert Registry(home).champion(LINE) == version
    Registry(home).rollback(LINE, "bench")
    assert Registry(home).champion(LINE) == first


@pytest.mark.slow
def test_a_model_of_another_kind_has_no_other_version(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    model = tmp_path / "model"
    model.mkdir()
    save_file({"other.weight": torch.ones(2)}, model / "model.safetensors")
    with pytest.raises(Skipped, match=r"has no tensor model\.norm\.weight"):
        models.varied(model, tmp_path / "other")
