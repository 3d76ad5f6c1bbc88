"""The keeper's decisions with scripted engines; `test_server.py` has real ones."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from configs.serving import Engines, Serving
from engine.registry.registry import Registry
from serve.candidate import NotNow, Unservable
from serve.engine import Engine
from serve.keeper import Keeper
from serve.slots import Slots, SlotsError, SlotsFile
from tests.support.registry import decision
from tests.support.server_process import LINE, make_home, promote

pytestmark = pytest.mark.slow


@dataclass
class FakeEngine:
    version: str | None
    gone: bool = False
    busy: bool = False
    """Runs, but does not respond."""
    broken: bool = False
    """Fails when it loads weights."""
    dies_of: str = ""
    """The version whose weights end its process, after which it starts anew."""
    took: list[str] = field(default_factory=list)


class Scripted(Keeper):
    """A keeper whose engines, gateways and smoke answers are scripted."""

    def __init__(self, serving: Serving, home: Path) -> None:
        self._serving, self._home = serving, home
        self._registry, self._file = Registry(home), SlotsFile(home, serving.line)
        champion = self._registry.champion(LINE)
        self.fakes = {slot: FakeEngine(champion) for slot in ("a", "b")[: serving.engines.resident]}
        self._lost = Counter[tuple[str, int]]()
        self.silent = False
        self.tallies: dict[str, tuple[int, int, list[float]]] = {}
        self.seen: list[Slots] = []

    async def _broadcast(self, slot: str, method: str, *arguments: Any, seconds: float = 0) -> list[Any]:
        engine = self.fakes[slot]
        if engine.gone:
            raise RayActorError
        if engine.busy:
            raise TimeoutError
        if method == "take":
            if engine.broken:
                raise RayTaskError("take", "", RuntimeError("no room for it"))
            if engine.dies_of == arguments[0]:
                engine.version = self._registry.champion(LINE)
                raise RayActorError
            engine.version = arguments[0]
            engine.took.append(arguments[0])
        return [engine.version]

    def _running(self) -> set[str]:
        return {slot for slot, engine in self.fakes.items() if not engine.gone}

    async def _try(self, version: str) -> None:
        if self.silent:
            raise Unservable("the smoke answer has no finite probabilities")

    async def _gateways(self, method: str) -> list[Any]:
        return [("g", self.tallies)]

    def _write(self, slots: Slots) -> None:
        self.seen.append(slots)
        super()._write(slots)

    def look(self) -> Slots:
        asyncio.run(self._look())
        slots = self._file.read()
        assert slots
        return slots


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    home = tmp_path_factory.mktemp("models")
    return home, make_home(home, 3)


@pytest.fixture
def home(models: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A registry of its own over the same weights."""
    registry = Registry(tmp_path)
    for version in models[1]:
        registry.add(Registry(models[0]).path(version), Registry(models[0]).verify(version))
    registry.promote(LINE, models[1][0], run_id="made", round=0, expected_epoch=0, baseline=True)
    return tmp_path


def keeper(home: Path, **more: Any) -> Scripted:
    made = Scripted(Serving(line=LINE, **more), home)
    made.look()
    return made


def test_a_promotion_takes_the_idle_engine_and_a_rollback_only_flips(
    home: Path, models: tuple[Path, list[str]]
) -> None:
    first, second, _ = models[1]
    tested = keeper(home)
    assert tested.look().versions == {"a": first, "b": None}
    promote(home, second)
    slots = tested.look()
    assert (slots.champion, slots.previous) == (second, first)
    loading = [each for each in tested.seen if each.loading]
    assert all(each.champion == first for each in loading), "the old version answers until the last step"
    took = list(tested.fakes["b"].took)
    Registry(home).rollback(LINE, "a test")
    slots = tested.look()
    assert (slots.champion, slots.previous, slots.loading) == (first, second, None)
    assert tested.fakes["b"].took == took and not tested.fakes["a"].took


def test_an_engine_that_is_started_anew_takes_what_is_served_and_not_what_was_refused(
    home: Path, models: tuple[Path, list[str]]
) -> None:
    first, second, _ = models[1]
    tested = keeper(home)
    tested.silent = True
    promote(home, second)
    slots = tested.look()
    assert slots.versions == {"a": first, "b": None} and Registry(home).champion(LINE) == second
    engine = Engine.__new__(Engine)
    engine._registry = Registry(home)
    assert [engine._first_version(slot, slots, LINE) for slot in ("a", "b")] == [first, first]
    assert engine._first_version("a", None, LINE) == second


@pytest.mark.parametrize("how", ["silent", "broken"])
def test_what_fails_is_refused_once_for_each_promotion(
    home: Path, models: tuple[Path, list[str]], how: str
) -> None:
    first, second, third = models[1]
    tested = keeper(home)
    tested.silent, tested.fakes["b"].broken = how == "silent", how == "broken"
    promote(home, second)
    slots = tested.look()
    assert (slots.champion, slots.previous, slots.loading) == (first, None, None)
    expected = {"silent": "no finite probabilities", "broken": "could not load it: no room for it"}[how]
    assert expected in slots.refused[second].reason
    written = len(tested.seen)
    tested.look()
    assert len(tested.seen) == written, "it is not tried again"
    registry = Registry(home)
    epoch = registry.line(LINE).epoch
    registry.carry(LINE, third, run_id="r", round=9, expected_epoch=epoch, decision=decision(True))
    tested.look()
    assert len(tested.seen) == written, "nor when a working model is carried beside it, which is never served"
    tested.silent = tested.fakes["b"].broken = False
    Registry(home).rollback(LINE, "a test")
    promote(home, second)
    slots = tested.look()
    assert slots.champion == second and second not in slots.refused


def test_what_could_not_be_tried_is_tried_again(home: Path, models: tuple[Path, list[str]]) -> None:
    first, second, _ = models[1]
    tested = keeper(home)
    tested.fakes["b"].gone = True
    promote(home, second)
    slots = tested.look()
    assert (slots.champion, slots.refused, slots.loading) == (first, {}, None)
    tested.fakes["b"].gone = False
    assert tested.look().champion == second


@pytest.mark.parametrize("resident", [1, 2])
def test_a_version_that_ends_engines_is_refused_the_third_time(
    home: Path, models: tuple[Path, list[str]], resident: int
) -> None:
    first, second, _ = models[1]
    tested = keeper(home, engines=Engines(resident=resident))
    promote(home, second)
    tested.fakes["ab"[resident - 1]].dies_of = second
    for _ in range(9):
        try:
            slots = tested.look()
        except NotNow:
            tested.fakes["a"].version = first  # as an engine starts of which the file says so
    assert (slots.champion, slots.loading, slots.holding) == (first, None, False)
    assert slots.refused[second].reason == "3 times the engine was lost: RayActorError"
    assert len([each for each in tested.seen if each.loading]) == 3


def test_one_engine_that_cannot_load_the_old_version_again_does_so_later(
    home: Path, models: tuple[Path, list[str]]
) -> None:
    """The refusal is written before, so that the new version is not tried again in an endless circle."""
    first, second, _ = models[1]
    tested = keeper(home, engines=Engines(resident=1))
    promote(home, second)
    tested.fakes["a"].broken = True
    for _ in range(2):
        with pytest.raises(Unservable):
            tested.look()
    slots = SlotsFile(home, LINE).read()
    assert slots and second in slots.refused and slots.versions == {"a": first} and slots.holding
    tested.fakes["a"].broken = False
    slots = tested.look()
    assert (slots.champion, slots.loading, slots.holding) == (first, None, False)
    assert len([each for each in tested.seen if each.loading]) == 1


def test_what_is_refused_on_disk_touches_no_engine(home: Path, models: tuple[Path, list[str]]) -> None:
    first, second, third = models[1]
    tested = keeper(home)
    promote(home, second)
    tested.look()
    weights = Registry(home).path(third) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    promote(home, third)
    slots = tested.look()
    assert third in slots.refused
    assert (slots.champion, slots.previous) == (second, first)


def test_one_engine_holds_requests_while_it_reloads(home: Path, models: tuple[Path, list[str]]) -> None:
    first, second, third = models[1]
    tested = keeper(home, engines=Engines(resident=1))
    promote(home, second)
    slots = tested.look()
    assert slots.versions == {"a": second} and not slots.holding
    assert [each.holding for each in tested.seen if each.loading] == [True, True]
    tested.silent = True
    promote(home, third)
    slots = tested.look()
    assert slots.versions == {"a": second} and not slots.holding, "the old version is loaded again"
    assert tested.fakes["a"].took == [second, third, second]
    assert first


def test_a_canary_becomes_champion_or_is_refused(home: Path, models: tuple[Path, list[str]]) -> None:
    first, second, third = models[1]
    tested = keeper(home, canary=0.1, canary_minutes=1e-9)
    promote(home, second)
    slots = tested.look()
    assert slots.champion == first and slots.canary and slots.canary.slot == "b"
    assert slots.previous is None, "a version under test is not the previous one"
    tested.tallies = {first: (100, 0, []), second: (100, 1, [])}
    slots = tested.look()
    assert slots.champion == second and slots.canary is None
    promote(home, third)
    assert tested.look().canary
    tested.tallies = {second: (200, 1, []), third: (100, 5, [])}
    slots = tested.look()
    assert slots.champion == second and slots.canary is None
    assert slots.refused[third].reason == "as a canary it failed 5.0 % of its requests"


def test_a_canary_ends_where_the_line_goes_back(home: Path, models: tuple[Path, list[str]]) -> None:
    tested = keeper(home, canary=0.1)
    promote(home, models[1][1])
    assert tested.look().canary
    Registry(home).rollback(LINE, "a test")
    slots = tested.look()
    assert slots.canary is None and slots.champion == models[1][0]


def test_the_idle_engine_stands_in_for_one_that_is_lost(home: Path, models: tuple[Path, list[str]]) -> None:
    first, second, _ = models[1]
    tested = keeper(home)
    promote(home, second)
    assert tested.look().active == "b"
    tested.fakes["b"].gone = True
    slots = tested.look()
    assert (slots.active, slots.champion, tested.fakes["a"].version) == ("a", second, second)
    # The engine that returns holds the champion it started with, and loads its slot's version again.
    tested.fakes["b"] = FakeEngine(second)
    slots = tested.look()
    assert (slots.previous, tested.fakes["b"].version) == (first, first)


def test_a_lost_engine_ends_no_canary_early(home: Path, models: tuple[Path, list[str]]) -> None:
    first, second, _ = models[1]
    tested = keeper(home, canary=0.5)
    promote(home, second)
    assert tested.look().canary
    tested.fakes["a"].gone = True
    slots = tested.look()
    assert (slots.active, slots.champion, slots.canary) == ("b", first, None), (
        "the canary was not tested enough"
    )
    assert all(each.find("champion", key) for each in tested.seen for key in map(str, range(9)))
    tested.fakes["a"].gone, tested.fakes["a"].version = False, None
    slots = tested.look()
    assert slots.champion == first and slots.canary and slots.canary.slot == "a", "the canary starts again"
    assert tested.fakes["a"].version == second


def test_two_keepers_of_one_line_do_not_write_at_a_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.slots._HANDOVER_SECONDS", 1)
    held = asyncio.run(SlotsFile(home, LINE).acquire())
    with pytest.raises(SlotsError, match=f"line {LINE} is already served from {home}"):
        asyncio.run(SlotsFile(home, LINE).acquire())
    held.close()
    asyncio.run(SlotsFile(home, LINE).acquire()).close()


def test_an_engine_that_is_only_busy_is_left_alone(home: Path) -> None:
    tested = keeper(home)
    tested.fakes["a"].busy = True
    slots = tested.look()
    assert slots.active == "a" and not tested.fakes["a"].took and not tested.fakes["b"].took


def test_an_idle_engine_that_cannot_take_its_version_again_is_empty(
    home: Path, models: tuple[Path, list[str]]
) -> None:
    tested = keeper(home)
    promote(home, models[1][1])
    tested.look()
    tested.fakes["a"] = FakeEngine(models[1][1], broken=True)
    assert tested.look().versions == {"a": None, "b": models[1][1]}


def test_what_a_lost_keeper_left_half_done_is_undone_where_the_line_went_back(
    home: Path, models: tuple[Path, list[str]]
) -> None:
    first, second, _ = models[1]
    tested = keeper(home, engines=Engines(resident=1))
    half_way = Slots(line=LINE, epoch=1, active="a", versions={"a": first}, loading=second, holding=True)
    SlotsFile(home, LINE).write(half_way)
    slots = tested.look()
    assert (slots.champion, slots.loading, slots.holding) == (first, None, False)


def test_a_keeper_that_is_started_anew_goes_on(home: Path, models: tuple[Path, list[str]]) -> None:
    first, second, _ = models[1]
    tested = keeper(home)
    promote(home, second)
    slots = tested.look()
    half_way = Slots(
        line=LINE,
        epoch=1,
        active="a",
        versions={"a": first, "b": None},
        loading=second,
        refused=slots.refused,
    )
    SlotsFile(home, LINE).write(half_way)
    anew = Scripted(Serving(line=LINE), home)
    anew.fakes["a"].version = first
    slots = anew.look()
    assert (slots.champion, slots.previous, slots.loading) == (second, first, None)
