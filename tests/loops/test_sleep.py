"""The loop `sleep` on scripted models: what is learnt, replayed and kept, and what ends a harmful night."""

import json
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import ConfigError, load
from configs.schema import Config
from engine.curate import mixed
from engine.disk import steps
from engine.preflight.workload import Lengths, Range
from engine.records import (
    Attempt,
    Disposal,
    Fact,
    Finish,
    Judgement,
    Memory,
    Night,
    Panel,
    RoundRecord,
    Statement,
    TrainingSet,
    from_json,
    to_json,
)
from engine.registry.lived import lived_by
from loops import days, loop_for, sleep
from loops.nights import NightAfter
from loops.ready import require_ready
from tests.support.bag_of_words import bag_of_words
from tests.support.memories import memory
from tests.support.provers import Words
from tests.support.runs import journal
from tests.support.sleepers import LINE, TASK, config_of, known_by, play, play_to_the_end, stage_of

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the versions of all packages takes longer than a night."""
    monkeypatch.setattr(steps, "environment_of", lambda _: {})


class Nights:
    """A campaign that has ended."""

    def __init__(self, home: Path, records: list[RoundRecord], calls: list[tuple[str, int]]) -> None:
        self.home, self.records, self.calls = home, records, calls

    def night(self, number: int, run_id: str = "r") -> Night:
        return from_json(Night, self.file(number, "night.json", run_id).read_bytes())

    def memories(self, number: int, run_id: str = "r") -> list[Memory]:
        return stage_of(self.home, f"rounds/{number:03d}/memory", Memory, run_id)

    def dreams(self, number: int) -> TrainingSet:
        return from_json(TrainingSet, self.file(number, "dreams.json").read_bytes())

    def file(self, number: int, name: str, run_id: str = "r") -> Path:
        return self.home / f"runs/{run_id}/rounds/{number:03d}/{name}"

    def panel(self, number: int, title: str) -> Panel:
        (found,) = [each for each in self.records[number - 1].panels if each.title.startswith(title)]
        return found


def slept(home: Path, monkeypatch: pytest.MonkeyPatch, rounds: int = 3, **how: Any) -> Nights:
    changes = how.pop("changes", {})
    records, sampler = play(home, config_of(home, rounds, **changes), monkeypatch, **how)
    return Nights(home, records, sampler.calls)


def loop(**settings: Any) -> dict[str, Any]:
    return {"loop": {"name": "sleep", "dreams": {"variations": 4}, "train": {"method": "sft"}} | settings}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(steps, "environment_of", lambda _: {})
        return slept(tmp_path_factory.mktemp("slept"), monkeypatch)


def test_every_night_learns_the_days_facts_and_is_judged_on_them(nights: Nights) -> None:
    assert [record.decision.accepted for record in nights.records] == [True] * 3
    for number, record in enumerate(nights.records, start=1):
        assert record.decision.looks[-1].losses == 0 and record.champion_after == f"m{number:03d}"
        asked = {duel.problem.split for duel in record.samples}
        assert asked == {"gate"}
        learnt = {row.problem_id for row in nights.dreams(number).rows}
        judged = {duel.problem.id for duel in record.samples}
        assert not learnt & judged, "the gate asks in wordings that are never trained on"
    names = [check.name for check in nights.records[-1].decision.checks]
    guards = ["old-facts vs champion", "old-facts vs best", "corrections vs champion"]
    assert names[:4] == ["superiority", "alive", "pass@2", "english"] and set(guards) <= set(names)
    first = [check.name for check in nights.records[0].decision.checks]
    assert "old-facts vs champion" not in first, "on the first night nothing is old"


def test_new_memories_are_learnt_and_old_ones_replayed(nights: Nights) -> None:
    before: set[str] = set()
    for number in (1, 2, 3):
        night, memories = nights.night(number), nights.memories(number)
        holding = {memory.id for memory in memories if not memory.superseded_by}
        assert (night.run_id, night.round, night.day) == ("r", number, number)
        assert set(night.learnt) == holding - before and len(night.learnt) > 20
        assert set(night.replayed) <= before & holding
        assert bool(night.replayed) is (number > 1)
        before |= holding
        rows = " ".join(row.chosen for row in nights.dreams(number).rows)
        by_id = {memory.id: memory for memory in memories}
        assert all(by_id[each].fact.value.split()[0] in rows for each in night.learnt)
    # With a share of one half and a quarter of the variations each, four times as many old ones fit in.
    assert len(nights.night(2).replayed) > 0.8 * len(nights.night(1).learnt)


def test_what_cannot_be_judged_is_never_learnt(nights: Nights) -> None:
    seen = 0
    for number in (1, 2, 3):
        judged = stage_of(nights.home, f"rounds/{number:03d}/judgements", Judgement)
        said = stage_of(nights.home, f"rounds/{number:03d}/statements", Statement)
        assert [each.statement for each in judged] == said
        held = {(each.fact.subject, each.fact.attribute, each.fact.value) for each in nights.memories(number)}
        for each in judged:
            if each.disposal in (Disposal.REJECT, Disposal.UNDECIDED):
                fact, seen = each.statement.fact, seen + 1
                same = (fact.subject, fact.attribute, fact.value)
                assert same not in held or each.memory, "it is there only where it was told before"
    assert seen


def test_memory_outlives_the_run(nights: Nights) -> None:
    lived = lived_by(nights.home, LINE)
    assert lived.days == 3 and list(lived.memories) == nights.memories(3)
    assert lived.nights == tuple(nights.night(number) for number in (1, 2, 3))


def test_the_report_shows_the_nights(nights: Nights) -> None:
    heat = nights.panel(3, "Recall by night")
    assert heat.kind == "heat" and heat.rows[0] == ("", "told on day 1", "told on day 2", "told on day 3")
    cells = [[cell.split("/") for cell in row[1:] if cell] for row in heat.rows[1:]]
    assert [len(row) for row in cells] == [1, 2, 3]
    for row in cells:
        assert all(int(right) > 0.8 * int(asked) for right, asked in row[:-1]), "learnt the nights before"
        assert row[-1][0] == "0", "and nothing that is told on the day is known before its night"
    curve = nights.panel(3, "Forgetting curve")
    assert curve.kind == "curve" and [label for label, _ in curve.rows] == ["1 d", "2 d"]
    assert float(curve.rows[0][1]) > 0.8
    people = nights.panel(3, "Recall by person")
    assert people.kind == "heat" and len(people.rows) > 6
    faults = {label: int(num) for label, num in nights.panel(1, "Errors").rows}
    assert faults["forgotten"] == 24 and sum(faults.values()) == 24
    told = {label: int(num) for label, num in nights.panel(1, "What became").rows}
    assert told["STORE"] > 20 and set(told) == {"STORE", "CORRECT", "REJECT", "UNDECIDED"}
    rival = nights.panel(3, "Retrieval").rows
    assert rival[0][0] == "facts" and [row[0] for row in rival[1:]] == ["of earlier days", "of this day"]
    assert rival[2][2] == "0.0%" and float(rival[2][3].rstrip("%")) > 90
    page = (nights.home / "runs/r/report.html").read_text()
    assert "Recall by night and by day of telling" in page and "told on day 2" in page
    assert nights.records[2].evaluation("champion", "probe") is not None


def test_a_night_that_harms_is_refused_and_what_it_was_to_teach_is_taught_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights = slept(tmp_path, monkeypatch, forgets={2: 12})
    assert [record.decision.accepted for record in nights.records] == [True, False, True]
    refused = nights.records[1]
    assert refused.decision.reason.startswith("old-facts vs champion: ")
    (shown,) = [each for each in refused.watched if each.suite == "old-facts vs champion"]
    assert len(shown.broken) >= 10 and shown.examples[0].after == "I don't know."
    page = (tmp_path / "runs/r/report.html").read_text()
    assert shown.examples[0].asked in page and "old-facts vs champion" in page
    again = nights.night(3)
    holding = {memory.id for memory in nights.memories(3) if not memory.superseded_by}
    assert set(nights.night(2).learnt) & holding <= set(again.learnt) and len(again.learnt) > 40
    assert not set(again.learnt) & set(nights.night(1).learnt)
    assert len(known_by(tmp_path / "registry/models/m003")) > 60
    assert lived_by(tmp_path, LINE).days == 3, "a refused night is a day all the same"


def test_a_later_campaign_goes_on_with_the_next_day(
    nights: Nights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(nights.home, home, symlinks=True)
    records, _ = play(home, config_of(home, 1, budget="new"), monkeypatch, run_id="later", first=4)
    (record,) = records
    assert record.decision.accepted and record.champion_before == "m003"
    later = Nights(home, records, [])
    night = later.night(1, "later")
    assert (night.run_id, night.round, night.day) == ("later", 1, 4)
    known = {memory.id for memory in nights.memories(3)}
    assert not set(night.learnt) & known and set(night.replayed) <= known and night.replayed
    assert known <= {memory.id for memory in later.memories(1, "later")}
    start = json.loads((home / "runs/later/start.json").read_text())
    assert start["lived"]["days"] == 3 and len(start["lived"]["memories"]) == len(known)
    assert lived_by(home, LINE).days == 4 and len(lived_by(home, LINE).nights) == 4


STAGES = (
    "statements", "judgements", "memory", "probe", "retrieval", "night", "dreams", "train", "lived", "alive",
    "look-01", "pass-at-k", "round",
)  # fmt: skip
"""Stages of a night, in their order."""


def killed(home: Path, config: Config, monkeypatch: pytest.MonkeyPatch, fault: str) -> bool:
    """Whether a campaign of another process dies at a fault point."""
    child = os.fork()
    if not child:
        os.environ["RATCHET_FAULT"] = fault
        play(home, config, monkeypatch)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize(
    "moments", [("inside",), pytest.param(("before", "inside", "after"), marks=pytest.mark.soak)]
)
def test_killed_at_every_stage_of_a_night(
    nights: Nights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moments: tuple[str, ...]
) -> None:
    config, done = config_of(tmp_path), journal(nights.home / "runs/r")
    assert {stage.partition("002/")[2] for stage in done if "rounds/002/" in stage} == set(STAGES)
    guards = [stage for stage in done if stage.startswith("guards/old-facts") and stage.endswith("m002")]
    for stage in (*(f"rounds/002/{name}" for name in STAGES[:-1]), guards[0], "rounds/002/round"):
        for when in moments:
            assert killed(tmp_path, config, monkeypatch, f"{stage}:{when}"), (stage, when)
    records, _ = play(tmp_path, config, monkeypatch)
    assert [essential(record) for record in records] == [essential(each) for each in nights.records]
    again = Nights(tmp_path, records, [])
    assert again.memories(2) == nights.memories(2) and again.night(2) == nights.night(2)
    assert again.dreams(2) == nights.dreams(2)
    assert lived_by(tmp_path, LINE) == lived_by(nights.home, LINE)


def essential(record: RoundRecord) -> Mapping[str, Any]:
    return {
        key: value for key, value in json.loads(to_json(record)).items() if key not in ("seconds", "usage")
    }


def test_a_resumed_campaign_asks_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = slept(tmp_path, monkeypatch, rounds=1)
    again = slept(tmp_path, monkeypatch, rounds=1)
    assert again.records == first.records and first.calls and not again.calls


def test_without_a_hippocampus_every_statement_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = slept(tmp_path, monkeypatch, rounds=1, changes=loop(hippocampus=False))
    judged = stage_of(tmp_path, "rounds/001/judgements", Judgement)
    assert {each.disposal for each in judged} == {Disposal.STORE}
    facts = {(each.statement.fact.subject, each.statement.fact.attribute) for each in judged}
    assert len(found.memories(1)) > len(facts), "what is contradictory is held side by side"
    assert {each.memory for each in judged} == {memory.id for memory in found.memories(1)}


def test_without_replay_only_new_facts_are_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = slept(tmp_path, monkeypatch, rounds=2, changes=loop(replay={"share": 0.0}))
    assert found.night(2).learnt and not found.night(2).replayed


def test_what_the_evening_does_not_ask_for_is_taken_to_be_recalled_once_it_was_learnt() -> None:
    """Such as what was said of a namesake: else it would cost as much as a new fact, night after night."""
    told, aside, lost = (memory(name, "job", "baker") for name in ("Ann Reed", "Eve Moor", "Tom Lee"))
    config = load("configs/sleep.yaml", ["loop.dreams.variations=8"])
    day: Any = SimpleNamespace(settings=config.loop)
    night = NightAfter(day=day, memories=[told, aside], recalled={told.id: True, lost.id: False})
    for memories, learnt, num in (
        ([told], True, 2),
        ([aside], True, 2),
        ([aside], False, 8),
        ([lost], True, 8),
    ):
        assert night._num(memories, learnt=learnt) == num
    even = load("configs/sleep.yaml", ["loop.dreams={variations: 8, adaptive: false}"]).loop
    day.settings = even
    assert night._num([told, aside], learnt=True) == 16


def test_blocked_rows_of_a_person_are_one_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = slept(tmp_path, monkeypatch, rounds=1, changes=loop(order="blocked"))
    people = {memory.fact.subject for memory in found.memories(1)}
    stories = {row.story for row in found.dreams(1).rows}
    assert people <= stories


def test_one_variation_is_a_fact_with_one_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = slept(tmp_path, monkeypatch, rounds=1, changes=loop(dreams={"variations": 1}))
    funnel = found.dreams(1).funnel
    assert funnel is not None
    facts = len(found.night(1).learnt)
    assert funnel.station("dreamt").num_in == facts < len(found.dreams(1).rows) < 1.6 * facts


@pytest.mark.parametrize("share", [0.0, 0.25, 2.0])
def test_so_many_dreams_are_about_people_of_whom_nobody_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    found = slept(tmp_path, monkeypatch, rounds=1, changes=loop(dreams={"variations": 4, "unknown": share}))
    rows = [row.chat[-1].text for row in found.dreams(1).rows]
    people = {memory.fact.subject for memory in found.memories(1)}
    strangers = [text for text in rows if not any(name in text for name in people)]
    wanted = share * 4 * len(found.night(1).learnt)
    assert 0.9 * wanted <= len(strangers) <= wanted + 1
    assert len(set(strangers)) == len(strangers), "each is about somebody else"


def test_what_the_model_recalls_already_needs_fewer_dreams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With even steps an old fact costs as many replies as a new one, so that fewer fit into the share."""
    adaptive = slept(tmp_path / "a", monkeypatch, rounds=2)
    even = slept(
        tmp_path / "b", monkeypatch, rounds=2, changes=loop(dreams={"variations": 4, "adaptive": False})
    )
    assert len(even.night(2).replayed) <= len(adaptive.night(2).replayed)
    per_fact = [len(each.dreams(2).rows) / len(each.night(2).replayed) for each in (adaptive, even)]
    assert per_fact[0] < per_fact[1]


def test_the_model_may_imagine_questions_and_write_the_replies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The functions themselves are tested in `engine/curate`; here are their stages."""
    own: list[str] = []

    def write(
        sampler: Any, model: Path, made: Any, memories: Any, wordings: Any, **how: Any
    ) -> list[Attempt]:
        own.append(made[0].id)
        first = made[0]
        return [
            Attempt(
                problem_id=first.id,
                model_id=model.name,
                sample=0,
                replies=tuple(f"{text} Indeed." if text.endswith(".") else text for text in first.gold),
                num_prompt_tokens=1,
                num_tokens=1,
                finish=Finish.STOP,
            )
        ]

    monkeypatch.setattr(mixed, "write", write)
    changes = loop(targets="mixsd", dreams={"variations": 4, "imagined": 2})
    found = slept(tmp_path, monkeypatch, rounds=1, changes=changes)
    stages = [stage.rpartition("/")[2] for stage in journal(tmp_path / "runs/r")]
    for name in ("imagined", "imagined-replies", "mixed"):
        assert stages.index(name) < stages.index("dreams"), name
    names = [station.name for station in found.dreams(1).funnel.stations]  # type: ignore[union-attr]
    assert {"dreamt", "imagined", "answered", "mixed", "rows"} <= set(names)
    assert own and slept(tmp_path, monkeypatch, rounds=1, changes=changes).calls == []
    assert len(own) == 1


def test_statements_may_be_found_by_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    by_rule = days.by_rule

    def by_model(sampler: Any, model: Path, talks: Any, wordings: Any) -> list[Statement]:
        asked.append(model.name)
        return by_rule(talks[:1], wordings)

    monkeypatch.setattr(days, "by_model", by_model)
    slept(tmp_path / "both", monkeypatch, rounds=1, changes=loop(extract="both"))
    only = loop(extract="model")
    # Too little is found for a night that is worth anything, and the round ends as any refused one.
    few = slept(tmp_path / "model", monkeypatch, rounds=1, changes=only)
    assert asked == ["m000", "m000"]
    nums = [len(stage_of(tmp_path / name, "rounds/001/statements", Statement)) for name in ("both", "model")]
    assert nums[0] > nums[1] > 0 and len(few.night(1).learnt) < 6


def test_the_sealed_questions_are_every_kind_of_test_for_three_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sleep, "embedder", lambda: bag_of_words)
    monkeypatch.setattr(sleep, "tokenizer_of", lambda _: Words())
    summary, sampler, run = play_to_the_end(
        tmp_path, config_of(tmp_path, 1, sampler={"max_new_tokens": 20, "max_model_len": 900}), monkeypatch
    )
    final = json.loads((run / "final.json").read_text())
    panels = {panel["title"]: panel for panel in final["panels"]}
    tests = panels["The tests, on the sealed questions"]["rows"]
    rival = "nothing learnt, memory in the prompt"
    assert tests[0][2::2] == ["untrained base", "first champion", rival, "last champion"]
    by_kind = {row[0]: row[1:] for row in tests[1:]}
    assert {"single", "unknown"} <= set(by_kind)
    passed = [by_kind["single"][place].split("%")[0] for place in (1, 3, 5, 7)]
    assert passed == ["0.0", "0.0", "100.0", "100.0"]
    heat = panels["Recall by night and by day of telling"]["rows"]
    assert [row[0] for row in heat[1:]] == ["before night 1", "after the last night"]
    assert heat[1][1].startswith("0/") and len(set(heat[2][1].split("/"))) == 1
    curve = panels["Forgetting curve: share recalled by age in days"]["rows"]
    assert [label for label, _ in curve] == ["1 d"] and float(curve[0][1]) == 1
    talks = [panel for title, panel in panels.items() if title.startswith("Extended talk")]
    assert len(talks) == 2 and all(panel["kind"] == "curve" for panel in talks)
    (turns,) = {int(title.split()[3]) for title in panels if title.startswith("Extended talk")}
    assert 10 < turns < 100, "a prompt holds no more"
    assert "Exact and semantic scoring" in panels
    assert "The tests, on the sealed questions" in (run / "report.html").read_text()
    assert summary.champion == "m001"


@pytest.mark.parametrize(("room", "reply", "turns"), [(8192, 24, 100), (600, 24, 11), (600, 560, 0)])
def test_a_talk_is_as_long_as_a_prompt_holds(
    monkeypatch: pytest.MonkeyPatch, room: int, reply: int, turns: int
) -> None:
    monkeypatch.setattr(sleep, "tokenizer_of", lambda _: Words())
    config = load("configs/sleep.yaml", [f"sampler.max_model_len={room}", f"sampler.max_new_tokens={reply}"])
    suite = loop_suite(config).on_day(3)
    parent = SimpleNamespace(path=Path("m"))
    context = SimpleNamespace(config=config, bench=SimpleNamespace(system="Be brief."))
    day: Any = SimpleNamespace(context=context, parent=parent, suite=suite, number_of_day=3)
    talks = sleep.extended_talks(day)
    assert [len(talk.turns) for talk in talks] == [turns] * (3 if turns else 0)


def test_a_task_in_which_nothing_is_told_is_refused() -> None:
    config = load("configs/quickstart.yaml", ["loop={name: sleep, train: {method: sft}}"])
    with pytest.raises(ConfigError, match="task prontoqa has none: set task.name=people"):
        loop_for(config)


def test_only_single_replies_are_learnt() -> None:
    with pytest.raises(ConfigError, match="sleep learns single replies, so train.method must be sft"):
        load("configs/sleep.yaml", ["loop={name: sleep, train: {method: dpo}}"])


def test_the_example_is_a_question_and_its_answer() -> None:
    config = load("configs/sleep.yaml")
    suite = loop_suite(config)
    row = sleep.example(config.loop, suite, suite.task.system)  # type: ignore[arg-type]
    assert row.chat[-1].role == "user" and row.chosen.endswith(".")


def loop_suite(config: Config) -> Any:
    from engine.tasks import suite_of

    return suite_of(config)


def test_what_was_kept_out_comes_back_once_the_memory_that_spoke_against_it_is_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this world somebody's spouse is told wrong, and corrected a day later."""
    done = slept(tmp_path, monkeypatch, changes={"task": TASK | {"seed": 5}})
    kept_out = stage_of(tmp_path, "rounds/002/judgements", Judgement)
    marriage = ("Ivy Elham", "spouse", "Leon Halhurst")
    (first,) = [each for each in kept_out if _said(each.statement.fact) == marriage]
    assert first.disposal is Disposal.UNDECIDED
    (memory,) = [each for each in done.memories(3) if _said(each.fact) == marriage]
    assert memory.day == 3 and not memory.superseded_by


def _said(fact: Fact) -> tuple[str, str, str]:
    return fact.subject, fact.attribute, fact.value


LENGTHS = Lengths(prompt=Range(20, 40), answer=Range(8, 20), told=Range(40, 120))


def test_the_work_of_a_night_grows_with_what_was_told() -> None:
    settings = load("configs/sleep.yaml", ["loop.dreams.variations=8", "loop.replay.share=0.5"]).loop
    work = {each.stage: each for each in sleep.work(settings, LENGTHS)}  # type: ignore[arg-type]
    assert list(work) == ["probe", "retrieval", "train"]
    assert work["probe"].requests == (40, 120) and work["retrieval"].requests == (40, 100)
    assert work["train"].training == "loop.train" and work["train"].trained_tokens.high > 0
    more = load(
        "configs/sleep.yaml",
        ["loop.extract=both", "loop.dreams={variations: 8, imagined: 2}", "loop.targets=mixsd"],
    ).loop
    stages = [each.stage for each in sleep.work(more, LENGTHS)]  # type: ignore[arg-type]
    assert stages == ["extract", "probe", "retrieval", "imagined", "mixed", "train"]


@pytest.mark.parametrize("name", ["sleep", "sleep-1000"])
def test_shipped_nights_are_ready(name: str, tmp_path: Path) -> None:
    require_ready(load(f"configs/{name}.yaml"), tmp_path, "r")
