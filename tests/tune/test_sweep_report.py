"""The report of a sweep as people read it: in a browser, at every stage of a sweep, whatever the values.

python -m pytest tests/tune/test_sweep_report.py
"""

import json
import math
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import ratchet
from configs.load import ConfigError
from engine.measure.stats import interval
from engine.records import Final, RoundRecord, from_json, to_json
from engine.report.data import ReportError
from tests.support.browser import Tab, tab
from tests.support.fixtures_report import WARM, likely
from tests.support.fixtures_sweep import NUM_PROBLEMS, score, trial, write_sweep
from tests.support.report import HOSTILE, Tags, chromium, poison
from tune.importance import importance
from tune.outcome import TrialRecord
from tune.report import best_so_far, write_sweep_report
from tune.report_data import Clock, read_sweep

HEADINGS = {"winner", "coordinates", "importance", "time", "trials", "cost", "provenance"}
UNFINISHED = {"start": 2, "trials": 6, "search": 2}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep(tmp_path_factory.mktemp("sweep") / "s")


@pytest.fixture(scope="module")
def browsed() -> Any:
    with tab() as opened:
        yield opened


def text_of(run: Path) -> str:
    return Tags(write_sweep_report(run).read_text()).text


def ids(page: str) -> set[str | None]:
    return {value for name, value in Tags(page).attributes if name == "id"}


def test_browser_shows_the_winner_beside_what_it_is_held_against(ended: Path) -> None:
    shown = Tags(chromium(write_sweep_report(ended), "--dump-dom"))
    for words in (
        "Trial 6, the best of 9, was accepted: strict 42 % on the selection split, "
        "53 % on the gate’s fresh problems.",
        "3 finished, 5 stopped early, 1 failed.",
        "Selection split chosen by these, as the best of 9 trials 42 % strict, 95 % interval 30–54 %",
        "60 problems; the campaign as it is, trial 0: 30 %",
        "Gate fresh, drawn after it was chosen 53 % strict, 95 % interval 45–61 %",
        "150 problems; the champion: 37 %",
        "80 problems; the first champion: 35 %",
        "+16.0 points ; 35 won, 11 lost",
        "the winner’s curse",
        "warm_start.train.learning_rate 0.001714 0.0003",
        "warm_start.train.gradient_checkpointing true false",
        "Better: 35 wins against 11 losses, where 33 wins were needed.",
        "⚠ failed loss 9.1 after a mean of 1.2",
        "too few trials to tell",
    ):
        assert words in shown.text, words
    assert {value for name, value in shown.attributes if name == "id"} >= HEADINGS


def test_figures_are_those_of_the_records(ended: Path) -> None:
    page = write_sweep_report(ended).read_text()
    records = [from_json(TrialRecord, line) for line in (ended / "trials.jsonl").read_text().splitlines()]
    trials, cost = (re.search(rf'id="{name}".*?</table>', page, re.DOTALL) for name in ("trials", "cost"))
    assert trials and cost
    rows = {int(cells.split()[0]): cells for row in row_cells(trials[0]) if (cells := row)[0].isdigit()}
    costs = {int(cells.split()[0]): cells for row in row_cells(cost[0]) if (cells := row)[0].isdigit()}
    assert set(rows) == set(costs) == {record.number for record in records}
    for record in records:
        for value in record.values.values():
            assert (str(value).lower() if isinstance(value, bool) else f"{value}") in rows[record.number]
        for rung in record.rungs:
            exact = interval(round(rung.score * NUM_PROBLEMS), NUM_PROBLEMS)
            assert f"{100 * exact.rate:.0f} % {100 * exact.low:.0f}–{100 * exact.high:.0f} %" in rows[
                record.number
            ].replace("\u00a0", " ")
        assert (f"{record.memory_mib:,} MiB" if record.memory_mib else " –") in costs[record.number]
        tokens = f"{record.challenger.num_tokens:,}" if record.challenger else "–"
        assert f" {tokens} " in costs[record.number]
    total = sum(record.challenger.num_tokens for record in records if record.challenger)
    assert f"{total:,}" in Tags(cost[0]).text
    judged = from_json(RoundRecord, (ended / "rounds/001/round.json").read_bytes())
    at_gate = judged.evaluation("challenger", "gate")
    assert at_gate and f"{100 * at_gate.score:.0f} %" == "53 %"


def row_cells(table: str) -> list[str]:
    return [Tags(row).text for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)]


def test_best_so_far_leaves_out_the_night_between(ended: Path) -> None:
    data = read_sweep(ended)
    seconds = sum(sum(it.record.seconds.values()) for it in data.trials)
    assert data.worked == pytest.approx(31 + seconds, abs=0.1)
    text = text_of(ended)
    after = 31 + sum(sum(trial(number, 9).seconds.values()) for number in range(7))
    assert f"After {after // 60:.0f} min {after % 60:02.0f} s: 42 %" in text
    assert re.search(r"After 3 min 16 s: 30\s%", text)


def test_best_so_far_only_rises_and_only_by_finished_trials(ended: Path) -> None:
    data = read_sweep(ended)
    assert [rate for _, rate in best_so_far(data.trials)] == [score(0, 1), score(3, 1), score(6, 1)]
    low, high = data.trials[0], data.trials[6]
    early = replace(high, measured=(1.0, 2.0))
    assert best_so_far([low, early]) == [(2.0, score(6, 1))], "what came later and was no better is no step"


def test_a_clock_counts_what_overlaps_once() -> None:
    clock = Clock([{"time": t, "seconds": s} for t, s in ((10, 10), (12, 8), (100, 5))])
    assert clock.total == 12 + 5
    assert [clock.at(t) for t in (4, 12, 50, 97, 100)] == [4, 12, 12, 14, 17]


def test_every_chart_is_named_and_stays_in_its_frame(ended: Path) -> None:
    page = write_sweep_report(ended).read_text()
    drawings = re.findall(r'viewBox="0 0 (\d+) (\d+)" role="img">(.*?)</svg>', page, re.DOTALL)
    assert len(drawings) == 3 + 3  # tiles; coordinates, importance, best so far
    for width, height, drawing in drawings:
        assert drawing.lstrip().startswith("<title>") and not re.search(r"[\"M,L ]nan|inf[\" ]", drawing)
        for axes, limit in (("x|cx", int(width)), ("y|cy", int(height))):
            found = re.findall(rf' (?:{axes})="(-?[\d.]+)"', drawing)
            assert found and all(-1 <= float(number) <= limit for number in found)


def test_a_line_goes_through_the_values_of_its_trial(ended: Path) -> None:
    page = write_sweep_report(ended).read_text()
    drawing = re.search(r"<title>Parallel coordinates.*?</svg>", page, re.DOTALL)
    assert drawing
    lines = {
        int(number): (look, [float(x) for x in re.findall(r"[ML](\S+) ", path)])
        for number, look, path in re.findall(
            r"<g><title>Trial (\d+).*?<path class=\"l (.*?)\" d=\"(.*?)\"", drawing[0], re.DOTALL
        )
    }
    assert sorted(lines) == list(range(9))
    finished, failed, stopped = lines[3], lines[1], lines[2]
    assert len(finished[1]) == 6 and len(failed[1]) == 5, "a failed trial has no score"
    assert "dots" in failed[0] and "dash" in stopped[0] and "da" not in finished[0]
    rates = {n: trial(n, 9).values.get("warm_start.train.learning_rate", 3e-4) for n in lines}
    for number, rate in rates.items():
        place = math.log(float(rate) / 2e-4) / math.log(3e-3 / 2e-4)
        assert lines[number][1][0] == pytest.approx(18 + 324 * place, abs=0.1)
    ends = {n: xs[-1] for n, (_, xs) in lines.items() if n != 1}
    assert max(ends, key=lambda n: ends[n]) == 6 and "win" in lines[6][0]


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_page_fits_and_complains_of_nothing(browsed: Tab, ended: Path, tmp_path: Path, width: int) -> None:
    many = write_sweep(tmp_path / "many", 60)
    for run in (ended, many):
        browsed.resize(width, 1600)
        browsed.complaints.clear()
        browsed.open(write_sweep_report(run).as_uri())
        browsed.run("document.querySelectorAll('details').forEach(it => it.open = true)")
        assert browsed.run("document.documentElement.scrollWidth") == width
        assert browsed.complaints == []
        picture = tmp_path / "page.png"
        browsed.picture(picture)
        with Image.open(picture) as opened:
            colours = opened.convert("RGB").getcolors(1 << 24) or []
        assert max(colours)[1] == (0xFB, 0xFB, 0xF9), "the style did not apply under the policy"
        assert len(colours) > 50


def test_a_headline_of_which_less_is_better_is_searched_and_drawn_like_a_share(tmp_path: Path) -> None:
    run = write_sweep(tmp_path)
    nats = {
        it.record.number: 3 - it.record.rungs[-1].score for it in read_sweep(run).trials if it.record.rungs
    }
    lines = []
    for line in (run / "trials.jsonl").read_text().splitlines():
        record = from_json(TrialRecord, line)
        rungs = tuple(likely(it.model_id, 3 - it.score, NUM_PROBLEMS) for it in record.rungs)
        lines.append(to_json(replace(record, rungs=rungs)))
    (run / "trials.jsonl").write_text("\n".join(lines) + "\n")
    judged = from_json(RoundRecord, (run / "rounds/001/round.json").read_bytes())
    measured = tuple(
        replace(it, evaluation=likely(it.evaluation.model_id, 2.5, 90)) for it in judged.measured
    )
    (run / "rounds/001/round.json").write_text(to_json(replace(judged, measured=measured)))
    final = from_json(Final, (run / "final.json").read_bytes())
    ends = {"baseline": likely(WARM, 2.75, 90), "champion": likely(final.champion.model_id, 2.5, 90)}
    (run / "final.json").write_text(to_json(replace(final, **ends)))
    page = write_sweep_report(run).read_text()
    text = Tags(page).text.replace("\u00a0", " ")
    assert min(nats, key=lambda number: nats[number]) == 6, "the least surprised, as the best share before"
    assert "Trial 6, the best of 9, was accepted: surprise 2.583 nats on the selection split" in text
    assert "−0.25 nats ; 14 won, 7 lost" in text and "surprise 2.85 nats to 2.583 nats" in text
    assert not re.search(r"[\"M,L ]nan|inf[\" ]", page)
    order = [
        int(cells.split()[0]) for cells in row_cells(page[page.index('id="trials"') :]) if cells[0].isdigit()
    ]
    assert order[:3] == [6, 3, 0]


@pytest.mark.slow
@pytest.mark.parametrize("until", UNFINISHED)
def test_unfinished_sweeps(browsed: Tab, tmp_path: Path, until: str) -> None:
    run = write_sweep(tmp_path / until, UNFINISHED[until], until)
    page = write_sweep_report(run)
    browsed.complaints.clear()
    browsed.open(page.as_uri())
    assert browsed.complaints == []
    text = Tags(page.read_text()).text
    expected = {
        "start": "No trial has been started yet.",
        "trials": "Trial 3 leads after 6 of at most 6 trials: strict 32 % on the selection split.",
        "search": "The gate has not judged it yet.",
    }
    assert expected[until] in text
    assert ids(page.read_text()) == ({"provenance"} if until == "start" else HEADINGS)
    assert sorted(path.name for path in run.glob("*sweep.html*")) == ["sweep.html"]


def test_none_finished_but_the_first_and_no_score_at_all(tmp_path: Path) -> None:
    run = write_sweep(tmp_path / "a", 3, "search")
    lines = (run / "trials.jsonl").read_text().splitlines()
    stopped = [from_json(TrialRecord, line) for line in lines]
    assert [it.status for it in stopped] == ["finished", "failed", "stopped"]
    assert "Trial 0 is the best of 3: strict 30 % on the selection split." in text_of(run)
    only = write_sweep(tmp_path / "b", 1, "trials")
    page = text_of(only)
    assert "No trial has been finished yet; 1 so far." in page
    assert "Nothing can be said about any hyperparameter yet" in page


def test_a_trial_under_way_shows_what_it_has_done(tmp_path: Path) -> None:
    run = write_sweep(tmp_path, 6, "trials")
    data = read_sweep(run)
    assert [it.state for it in data.trials] == [
        "finished", "failed", "under way", "finished", "under way", "under way",
    ]  # fmt: skip
    assert [len(it.record.rungs) for it in data.trials] == [2, 0, 1, 2, 1, 0]
    assert data.trials[1].record == trial(1, 6), "read from its stages it is as it will be recorded"
    assert data.trials[3].record == trial(3, 6)


def test_where_the_campaign_as_it_is_was_best(tmp_path: Path) -> None:
    run = write_sweep(tmp_path, 2)
    records = [trial(0, 2), trial(1, 2)]
    assert score(1, 1) < score(0, 1)
    (run / "rounds/001/round.json").unlink()
    (run / "final.json").unlink()
    text = text_of(run)
    assert "Trial 0 is the best of 2: " in text
    assert "Nothing was judged, so there is no honest score" in text
    assert records[0].values == {} and "To try it by itself" not in text


def test_the_command_makes_the_winner_again(tmp_path: Path) -> None:
    """With what the sweep set for all trials, and with every digit of what was tried."""
    run = write_sweep(tmp_path)
    sweep = yaml.safe_load((run / "sweep.yaml").read_text())
    sweep["set"] = {"line": "a/b", "baseline": None, "warm_start": {"proofs": 96}, "system": "Prove: x"}
    (run / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    record = replace(trial(3, 6), values={"warm_start.train.learning_rate": 0.00123456})
    assert read_sweep(run).command(record) == (
        "ratchet run CONFIG baseline=null 'system=\"Prove: x\"' "
        "warm_start.proofs=96 warm_start.train.learning_rate=0.00123456"
    )


def test_refused_by_the_gate(tmp_path: Path) -> None:
    run = write_sweep(tmp_path)
    path = run / "rounds/001/round.json"
    tree = json.loads(path.read_text())
    tree["decision"] |= {"accepted": False, "reason": "Superiority was not shown."}
    path.write_text(json.dumps(tree))
    final = json.loads((run / "final.json").read_text())
    (run / "final.json").write_text(json.dumps(final | {"champion": final["baseline"]}))
    text = text_of(run)
    assert "was refused: strict 42 %" in text
    assert "first champion" not in text, "the sealed problems were answered by another"
    tree["measured"] = [it for it in tree["measured"] if it["where"] != "gate"]
    path.write_text(json.dumps(tree))
    (run / "final.json").unlink()
    text = text_of(run)
    assert "was refused before any gate problem" in text
    assert "Not one gate problem was answered: Superiority was not shown." in text


@pytest.mark.slow
def test_text_of_users_and_models_cannot_leave_its_place(browsed: Tab, tmp_path: Path) -> None:
    run = write_sweep(tmp_path / "run")
    clean = Tags(write_sweep_report(run).read_text())
    sweep = yaml.safe_load((run / "sweep.yaml").read_text())
    train = sweep["space"]["warm_start"]["train"]
    train["schedule"]["choice"].append(HOSTILE)
    train[HOSTILE.replace(".", "")] = {"choice": [HOSTILE, True, 3]}
    (run / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    records = []
    for line in (run / "trials.jsonl").read_text().splitlines():
        record = json.loads(line)
        record["reason"] = HOSTILE + record["reason"]
        record["values"] = {k: HOSTILE + v if isinstance(v, str) else v for k, v in record["values"].items()}
        records.append(json.dumps(record))
    (run / "trials.jsonl").write_text("\n".join(records) + "\n")
    for name in ("rounds/000/round.json", "rounds/001/round.json", "summary.json", "environment.json"):
        (run / name).write_text(json.dumps(poison(json.loads((run / name).read_text()))))
    page = write_sweep_report(run)
    dirty = Tags(page.read_text())
    assert set(dirty.tags) - set(clean.tags) == set()
    assert {name for name, _ in dirty.attributes} - {name for name, _ in clean.attributes} <= {"title"}
    assert "⟨U+202E⟩⟨U+001B⟩[31m" in page.read_text()
    browsed.complaints.clear()
    browsed.resize(390, 1600)
    browsed.open(page.as_uri())
    assert browsed.run("document.title") != "owned" and browsed.complaints == []
    assert browsed.run("document.documentElement.scrollWidth") == 390


def test_damaged_records_are_refused_in_one_sentence(tmp_path: Path) -> None:
    run = write_sweep(tmp_path / "s")
    with pytest.raises(ConfigError, match=r"sweep\.yaml does not exist"):
        write_sweep_report(without(write_sweep(tmp_path / "no"), "sweep.yaml"))
    (run / "trials.jsonl").write_text(to_json(trial(0, 9)).replace('"number":0', '"number":"x"') + "\n")
    with pytest.raises(ReportError, match=r"trials\.jsonl is not a valid TrialRecord: number") as caught:
        write_sweep_report(run)
    assert "\n" not in str(caught.value) and not list(run.glob("*sweep.html*"))


def without(run: Path, name: str) -> Path:
    (run / name).unlink()
    return run


def test_the_command_writes_both_and_prints_the_sweeps(
    ended: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (ended / "report.html").unlink(missing_ok=True)
    ratchet.report(str(ended))
    assert capsys.readouterr().out.strip() == str(ended / "sweep.html")
    assert (ended / "report.html").exists()


def test_importance_of_what_matters_and_of_what_does_not() -> None:
    """Rates over many simulated sweeps: few intervals leave out zero where there is nothing to be found."""
    rng = random.Random(7)
    shown = {0.0: 0, 0.5: 0}
    covered = {0.0: 0, 0.5: 0}
    for _ in range(150):
        for share in shown:
            place = [rng.uniform(-1, 1) for _ in range(24)]
            effect = [math.sqrt(3 * share) * x + math.sqrt(1 - share) * rng.gauss(0, 1) for x in place]
            found = importance(place, effect)
            assert found and found.low <= found.share <= found.high
            shown[share] += found.shown
            covered[share] += found.low <= share <= found.high
    assert shown[0.0] <= 12 and shown[0.5] >= 120, "at most 2.5 % expected of nothing, most of half"
    assert covered[0.0] >= 138 and covered[0.5] >= 120


def test_importance_where_nothing_can_be_said() -> None:
    assert importance([1.0, 2.0], [0.3, 0.4]) is None, "as many parameters as trials"
    assert importance([1.0] * 9, [0.1 * i for i in range(9)]) is None, "one value"
    assert importance(["a", "b"] * 5, [0.5] * 10) is None, "one score"
    assert importance([], []) is None
    few = importance([0.0, 0.4, 1.0, 0.7], [0.3, 0.5, 0.2, 0.4])
    assert few and not few.shown and few.high > 0.8
    exact = importance([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert exact and exact.low > 0.99
    levels = importance(["true", "false"] * 10, [0.5, 0.2] * 9 + [0.4, 0.3])
    assert levels and levels.shown and levels.share > 0.8
