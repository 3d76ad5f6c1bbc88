"""The report as people read it: in a browser, on a wide screen and on a phone, finished or not.

python -m pytest tests/engine/report/test_report.py
"""

import html
import json
import math
import re
import unicodedata
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.records import Closure, Final, RoundRecord, TrainFailure, TrainFault, Usage, to_json
from engine.registry.exported import Export, ExportedAs, keep_export
from engine.report.campaign import elsewhere, write_report
from engine.report.data import ReportError, read_run
from engine.report.figures import columns, comparisons
from engine.report.page import UNSEEN, spread, ticks, visible
from tests.support.domain_files import write_snapshot
from tests.support.fixtures_report import (
    BASE,
    FIRST,
    SECONDS,
    WARM,
    evaluation,
    failed,
    judged,
    likely,
    measured,
    other_samples,
    panels,
    sample,
    untrained_start,
    warm_start,
    weakness,
    write_run,
)
from tests.support.report import HOSTILE, Tags, chromium, poison


def closed(record: RoundRecord) -> RoundRecord:
    """The round with its first weakness closed, and too few problems of the second at the gate to tell."""
    names = ("num", "before", "after", "num_undecided", "cured", "caught", "p", "closed", "at_gate")
    figures = [(25, 11, 2, 0, 10, 1, 12 / 2**11, True, False), (4, 3, 2, 1, 2, 1, 0.5, False, True)]
    closures = [
        Closure(slice=weakness.slice, fault=weakness.fault, **dict(zip(names, row, strict=True)))
        for weakness, row in zip(record.weaknesses, figures, strict=True)
    ]
    return replace(record, closures=tuple(closures))


def unseal(run: Path, final: Final | None = None) -> Path:
    """Add the sealed problems to a run, by default with a gain smaller than the gate's."""
    whole = Final(
        baseline=evaluation(WARM, 0.35, 0.61, 198),
        champion=evaluation(FIRST, 0.47, 0.72, 198),
        wins=38,
        losses=14,
        entropy=5_377_201_905_266_841_093,
    )
    (run / "final.json").write_text(to_json(final or whole))
    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rounds = (warm_start(), closed(judged(1)), judged(2))
    return write_report(unseal(write_run(tmp_path_factory.mktemp("run"), rounds)))


@pytest.mark.slow
def test_browser_shows_every_part(finished: Path) -> None:
    shown = Tags(chromium(finished, "--dump-dom"))
    for words in (
        "1 of 2 rounds accepted: strict 35 % → 47 % on 198 sealed problems.",
        "The gain: +12.1 points of strict , 95 % interval +5.2 to +19.3, paired.",
        "the last champion alone passed 38 and the first alone 14",
        "the gain above differs from those of the gate below",
        "accuracy 72 % · 198 sealed problems",
        "valid steps, answer counted",
        "35 wins 35 wins, 11 losses after 150 problems 33 wins at least 33 wins",
        "× 1.06 perplexity ratio at most 1.06 × 1.15 under 1.15",
        "2.1 % drop at most 2.1 points 5.0 % under 5 points",
        "Sealed, by the value of each dimension",
        "11 → 2 of 25 0.005859 ✓ closed",
        "3 → 2 of 4 at the gate 1 undecided 0.5 ○ too few to tell",
        "3 error ledgers were opened",
        "A gain seen at stopping is optimistic",
        "with 80 % power, a net gain of",
        "Better: 35 wins against 11 losses, where 33 wins were needed.",
        "11 wins, 16 losses after 150 problems",
        "○ not run",
        "33 needed",
        "From 480 to 66: what became of the material",
        "parsed 480 466 14 do not match the grammar",
        "181 −166",
        "learnt 181 66 at most 2 of each problem",
        "wrong polarity",
        "mp on lines 2 and 6 gives “Max is not sour.”",
        "Loss, over 114 steps",
        "second verifier: none",
        "torch 2.13.0",
        "budget: new",
    ):
        assert words in shown.text, words
    headings = {"progress", "lineage", "rounds", "slices", "training", "time", "provenance"}
    assert headings <= {value for name, value in shown.attributes if name == "id"}


def test_every_chart_is_named(finished: Path) -> None:
    page = finished.read_text()
    drawings = re.findall(r'<svg [^>]*role="img">(.*?)</svg>', page, re.DOTALL)
    assert (
        len(drawings) == 3 + 6 + 1 + 2 + 2 + 3 + 1
    )  # tiles, progress, lineage, evidence, funnels, curves, time
    assert all(drawing.lstrip().startswith("<title>") for drawing in drawings)
    assert not re.search(r"[\"M,L ]nan|inf[\" ]", "".join(drawings))


def test_wins_are_drawn_on_their_side_of_the_boundary(finished: Path) -> None:
    above = []
    for drawing in re.findall(
        r"wins against the exact boundary</title>(.*?)</svg>", finished.read_text(), re.DOTALL
    ):
        wins = re.findall(r'<circle class="f-blue" cx="\S+" cy="(\S+)"', drawing)
        needed = re.findall(r'<path class="l good" d="M\S+ (\S+)h6"', drawing)
        above.append(float(wins[-1]) < float(needed[-1]))
    assert above == [True, False]


def test_time_outside_the_work_is_shown(finished: Path) -> None:
    answering = read_run(finished.parent).answering[1]
    assert answering == {"probe", "sample", "pass-at-k"}, "weaknesses are mined without asking anything"
    assert elsewhere(judged(1), answering) == pytest.approx(0.2 + 0.3 + 176 - 148)
    broken = failed(3, TrainFailure(fault=TrainFault.LOSS_EXPLODED, reason="loss"))
    assert elsewhere(broken, {"probe"}) == 12.0
    own = replace(judged(1), seconds={"dream": 50.0, "replay": 7.0, "train": 150.0, "select-2": 9.0})
    assert elsewhere(own, {"dream"}) == pytest.approx(7 + 150 - 148), "by a loop of any name"
    assert "28.5 s (7 %)" in finished.read_text()


def test_what_rounds_took_is_shown_and_of_older_ones_nothing(tmp_path: Path) -> None:
    took = Usage(
        num_cpus=2,
        num_gpus=1,
        driver_mib=812,
        worker_mib=None,
        cpu_joules=None,
        gpu_joules=7.2e6,
        cost=12.5,
        currency="<EUR>",
    )
    page = write_report(write_run(tmp_path, (warm_start(), replace(judged(1), usage=took)))).read_text()
    rows = re.findall(
        r"<tr><th>([\w ]+)</th>\s*<td class=\"n\">(.*?)</td>\s*<td class=\"n\">(.*?)</td></tr>", page
    )
    assert {what: (old, new) for what, old, new in rows} == {
        "driver memory": ("–", "812 MiB"),
        "worker memory": ("–", "–"),
        "processor energy": ("–", "not measured"),
        "GPU energy": ("–", "7,200,000 J (2 kWh)"),
        "cost": ("–", "12.50 &lt;EUR&gt;"),
    }
    plain = write_report(write_run(tmp_path / "older", (warm_start(), judged(1)))).read_text()
    assert "not measured" not in plain and "driver memory" not in plain


def test_page_keeps_to_its_own_policy(finished: Path) -> None:
    page = finished.read_text()
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in html.unescape(page)
    assert " style=" not in page.replace(style[0], ""), "the policy would drop it"
    assert "http" not in page.replace("http-equiv", "").replace(style[0], ""), "the page refers to another"


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1200])
def test_style_applies_and_page_is_not_blank(finished: Path, tmp_path: Path, width: int) -> None:
    picture = tmp_path / "page.png"
    chromium(finished, f"--window-size={width},1600", f"--screenshot={picture}")
    with Image.open(picture) as opened:
        colours = opened.convert("RGB").getcolors(1 << 24) or []
        assert opened.width == width
    total = sum(count for count, _ in colours)
    most, background = max(colours)
    assert background == (0xFB, 0xFB, 0xF9), "the style did not apply under the policy"
    assert len(colours) > 50 and most < 0.97 * total


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 768])
def test_page_does_not_scroll_sideways(finished: Path, tmp_path: Path, width: int) -> None:
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", finished.read_text())
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id="f" width="{width}" height="900" frameborder="0" srcdoc="{html.escape(page)}"></iframe>'
        '<script>window.onload = () => { const root = document.getElementById("f").contentDocument;'
        'root.querySelectorAll("details").forEach(it => it.open = true); const page = root.documentElement;'
        'document.title = "width=" + page.scrollWidth + "/" + page.clientWidth; }</script>'
    )
    assert f"width={width}/{width}" in chromium(frame, "--window-size=1400,1000", "--dump-dom")


@pytest.mark.slow
def test_text_of_models_cannot_leave_its_place(tmp_path: Path) -> None:
    run = unseal(write_run(tmp_path / "run", (warm_start(), closed(judged(1)), judged(2))))
    clean = Tags(write_report(run).read_text())
    for path in [
        *run.glob("rounds/*/round.json"),
        *map(run.joinpath, ("baseline.json", "final.json", "summary.json")),
    ]:
        path.write_text(json.dumps(poison(json.loads(path.read_text()))))
    (run / "environment.json").write_text(json.dumps({HOSTILE: {HOSTILE: HOSTILE}}))
    with (run / "config.yaml").open("a") as config:
        config.write("# </pre><script>document.title='owned'</script>\n")
    page = write_report(run)
    source = page.read_text()
    dirty = Tags(source)
    assert set(dirty.tags) == set(clean.tags)
    assert {name for name, _ in dirty.attributes} == {name for name, _ in clean.attributes}
    assert "⟨U+202E⟩⟨U+001B⟩[31m" in source and not {"\u202e", "\x1b"} & set(source)
    assert "<title>owned" not in chromium(page, "--dump-dom")


def test_a_gain_in_likelihood_is_detected_without_ties(tmp_path: Path) -> None:
    passage = other_samples()[-1]
    source = write_report(write_run(tmp_path, (warm_start(), judged(1, (passage,))))).read_text()
    assert "problems, no ties)" in source and "of them lost to the" not in source
    (points,) = re.findall(r"a net gain of ([0-9.]+) points", source)
    assert float(points) > 10, "so many more passages must be won than lost"


def test_text_of_any_kind_is_shown_within_bounds(tmp_path: Path) -> None:
    long = sample("7. " + "Max is sour. " * 5000)
    source = write_report(write_run(tmp_path, (warm_start(), judged(1, (long,))))).read_text()
    assert "more characters" in source and len(source) < 150_000


def test_the_page_names_the_data_before_and_the_exports_after_the_campaign(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "r", (warm_start(), judged(1)))
    assert "Data and exports" not in write_report(run).read_text()
    tree = yaml.safe_load((run / "config.yaml").read_text())
    name = write_snapshot(tmp_path)
    tree["task"] = {"name": "domain", "directory": f"elsewhere/snapshots/{name}"}
    (run / "config.yaml").write_text(yaml.safe_dump(tree))
    champion = read_run(run).summary
    assert champion is not None
    files = (ExportedAs(name="m<i>-q8_0.gguf", version="1" * 16, verdict="refused, left out"),)
    export = Export(model_id=champion.champion, created="2026-01-02T03:04:05", format="gguf", place="/out")
    keep_export(tmp_path, replace(export, place="/model"))
    keep_export(tmp_path, replace(export, files=files))
    page = Tags(write_report(run).read_text())
    assert "snapshot 0123456789abcdef: train 8, validation 1, test 1, of 12 lines of faq.jsonl." in page.text
    assert "Left out: 2 near duplicate." in page.text and "Masked or noted: 3 email." in page.text
    assert "2026-01-02T03:04:05: /out m<i>-q8_0.gguf refused, left out" in page.text
    assert "/model the model itself, as a folder" in page.text
    # Sets that were not curated here have a name, and nothing else.
    (tmp_path / "snapshots" / name / "card.json").unlink()
    assert f"Curated data, snapshot {name}." in write_report(run).read_text()


@pytest.mark.slow
def test_unfinished_runs(tmp_path: Path) -> None:
    empty = write_run(tmp_path / "empty", (), ended=False)
    assert "No round has been judged." in write_report(empty).read_text()
    (empty / "baseline.json").unlink()
    (empty / "environment.json").unlink()
    (empty / "metrics.jsonl").unlink()
    assert "Still running, or interrupted." in Tags(write_report(empty).read_text()).text

    midway = write_run(tmp_path / "midway", (warm_start(),), ended=False)
    (midway / "rounds/001").mkdir()
    (midway / "rounds/001/probe.json").write_text("{}")
    with (midway / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"time": 3.0, "round": 1, "sta')
    page = Tags(chromium(write_report(midway), "--dump-dom")).text
    assert "The warm start is in place; no later round has been judged." in page
    assert "Round 1 is under way; done so far: probe." in page
    assert sorted(path.name for path in midway.glob("*report*")) == ["report.html"]


def test_failed_training_and_refusals(tmp_path: Path) -> None:
    exploded = TrainFailure(fault=TrainFault.LOSS_EXPLODED, reason="loss 9.1 after a mean of 1.2")
    rounds = (warm_start(), judged(1), judged(2), failed(3, exploded))
    run = write_run(tmp_path / "failed", rounds)
    with (run / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"round": 3, "stage": "train", "step": 39, "loss": NaN, "grad_norm": Infinity}\n')
    page = Tags(write_report(run).read_text()).text
    assert "1 of 3 rounds accepted" in page
    assert "loss_exploded : loss 9.1 after a mean of 1.2" in page
    assert page.count("1 step without a finite value") == 2
    assert "⚠ Training failed" in page

    refused = write_run(tmp_path / "refused", (failed(1, exploded),))
    page = Tags(write_report(refused).read_text()).text
    assert "The one round was not accepted: the first champion stays, strict 54 %" in page


def test_gain_is_quoted_from_draws_of_fixed_size(tmp_path: Path) -> None:
    stopped = Tags(write_report(write_run(tmp_path / "a", (warm_start(), judged(1)))).read_text()).text
    assert "strict 36 % → 53 %" in stopped and "150 fresh problems, gate of round 1, at stopping" in stopped
    probed = Tags(
        write_report(write_run(tmp_path / "b", (warm_start(), judged(1), judged(2)))).read_text()
    ).text
    assert "strict 36 % → 54 %" in probed and "96 fresh problems, probe of round 2" in probed


def test_sealed_problems_where_nothing_was_gained(tmp_path: Path) -> None:
    alike = evaluation(WARM, 0.35, 0.61, 198)
    final = Final(baseline=alike, champion=alike, wins=0, losses=0, entropy=7)
    refused = replace(judged(2), round=1, champion_before=WARM, champion_after=WARM)
    page = Tags(write_report(unseal(write_run(tmp_path, (warm_start(), refused)), final)).read_text()).text
    assert "was not accepted: the first champion stays, strict 35 % on 198 sealed problems." in page
    assert "The gain" not in page and "the figure above differs" in page

    worse = replace(final, champion=evaluation(FIRST, 0.33, 0.61, 198), wins=9, losses=13)
    page = Tags(write_report(unseal(tmp_path, worse)).read_text()).text
    assert "The gain: −2.0 points of strict , 95 % interval −7.0 to +2.8" in page


def test_refused_warm_start_is_not_in_place(tmp_path: Path) -> None:
    start = warm_start()
    refused = replace(
        start, decision=replace(start.decision, accepted=False), champion_after=start.champion_before
    )
    page = Tags(write_report(write_run(tmp_path, (refused,))).read_text()).text
    assert "The warm start was refused: no round has been judged." in page and "in place" not in page

    base = evaluation(start.champion_before, 0.0, 0.2, 198)
    unseal(tmp_path, Final(baseline=base, champion=base, wins=0, losses=0, entropy=7))
    page = Tags(write_report(tmp_path).read_text()).text
    assert "198 sealed problems" in page and "those of the gate" not in page


def test_untrained_base_as_baseline_is_called_so_everywhere(tmp_path: Path) -> None:
    rounds = (untrained_start(), replace(judged(1), champion_before=BASE))
    page = write_report(write_run(tmp_path / "run", rounds)).read_text()
    text = Tags(page).text
    tiles = re.findall(r'<div class="tile">.*?</strong>', page, re.DOTALL)
    assert [Tags(it).text for it in tiles] == [
        "Untrained base",
        "Untrained base as baseline",
        "Champion now",
    ]
    assert f"round 0 {BASE[:10]} ◆ Untrained base as baseline" in text
    assert "start: the untrained base as baseline" in text
    assert "There is no warm start: the untrained base is the baseline" in text
    assert "baseline (the untrained base)" in text and "baseline (warm start)" not in text
    for words in ("warm start", "Warm start", "training failed", "no model", "all 1 checks passed"):
        assert words not in text.replace("There is no warm start", "").split("Configuration")[0], words

    alone = write_report(write_run(tmp_path / "alone", rounds[:1], ended=False)).read_text()
    assert "The untrained base is the baseline; no later round has been judged." in Tags(alone).text


def test_chosen_checkpoint_is_named_and_marked(tmp_path: Path) -> None:
    stages = {"train-1": 80.0, "select-1": 2.0, "train-2": 60.0, "select-2": 2.0, "train-3": 30.0}
    record = judged(1)
    assert record.challenger is not None
    chosen = replace(record.challenger, num_steps=20)
    selected = replace(record, challenger=chosen, seconds={**SECONDS, **stages})
    run = write_run(tmp_path, (warm_start(), selected))
    page = write_report(run).read_text()
    assert "rft, the best of 2 checkpoints, after 20 steps" in Tags(page).text
    assert "sft, 38 steps" in Tags(page).text
    assert page.count("The ring marks the checkpoint that was chosen.") == 3


def test_figures_of_the_base_alone_are_not_drawn(tmp_path: Path) -> None:
    record = judged(1)
    record = replace(record, measured=tuple(it for it in record.measured if it.where != "sampled"))
    page = write_report(write_run(tmp_path, (replace(warm_start(), measured=()), record))).read_text()
    assert page.count(" over the rounds</title>") == 4
    assert "Measured of the untrained base only, and so not drawn: pass@4, majority vote." in Tags(page).text


def test_slices_are_added_up_by_dimension(finished: Path) -> None:
    found = re.findall(r'<tr><th class="nowrap">hops=1</th>(.*?)</tr>', finished.read_text(), re.DOTALL)
    sealed, row = (Tags(cells).text for cells in found)
    assert sealed == "42 % of 66 55 % of 66"
    # 25 problems a cell in round 1: 16 of those without negation and 15 of those with it are proved.
    assert row == "0 % of 16 47 % of 32 62 % of 50 60 % of 50"


def test_repeated_steps_count_once(tmp_path: Path) -> None:
    run = write_run(tmp_path, (warm_start(),))
    once = Tags(write_report(run).read_text()).text
    lines = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(lines + lines)
    assert "Loss, over 38 steps" in once and "Loss, over 38 steps" in Tags(write_report(run).read_text()).text


@pytest.fixture(scope="module")
def of_another_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a task and a loop that the report knows nothing of."""
    both = (measured("champion", "dream", WARM, 0.2, 0.3, 40), measured("base", "dream", WARM, 0.1, 0.2, 40))
    record = replace(judged(1, other_samples()), panels=panels())
    record = replace(record, measured=(*record.measured, *both))
    weak = tuple(replace(it, fault="forgot_the_name") for it in record.weaknesses)
    record = replace(record, weaknesses=weak)
    return write_report(write_run(tmp_path_factory.mktemp("other"), (warm_start(), record)))


def test_each_kind_of_sample_is_shown_as_what_it_is(of_another_task: Path) -> None:
    page = of_another_task.read_text()
    samples = [Tags(it).text for it in re.findall(r'<details class="sample".*?</details>\s', page, re.DOTALL)]
    assert len(samples) == 3
    asked, dialogue, passage = samples
    assert asked.startswith("Which river flows through Vienna? topic=rivers FAIL → PASS")
    assert "Accepted: Danube , the Danube unit a name" in asked
    assert "✗ FAIL The Rhine wrong answer 31 tokens; grade 0.82; judged by exact" in asked
    assert dialogue.startswith("My name is Ada. turns=2 UNDECIDED → PASS")
    assert "turn 2 Ada, your name Bob" in dialogue
    assert "My name is Ada. Hello, Ada. What is my name? Your name is Ada." in dialogue
    assert (
        passage.startswith("Whereas the party") and "domain=law 2.05 nats a token → 2 nats a token" in passage
    )
    assert "2.05 nats a token over 80 tokens" in passage
    assert "Gold answer" not in page and 'class="premises"' not in page


def test_a_loop_shows_its_own_panels_figures_and_faults(of_another_task: Path) -> None:
    page = of_another_task.read_text()
    text = Tags(page).text
    assert "forgot the name" in text
    figures = dict(re.findall(r'<figure class="panel"><h4>(.*?)</h4>(.*?)</figure>', page, re.DOTALL))
    assert list(figures) == ["Dreams kept", "Facts", "Surprise", "Memory", "Recall", "Foreseen"]
    widths = [float(it) for it in re.findall(r'<rect [^>]*width="(\S+)"', figures["Dreams kept"])]
    assert widths == pytest.approx([150.6, 60.7, 19.4], abs=0.3) and "n/a" in figures["Dreams kept"]
    assert Tags(figures["Facts"]).text == "fact kept name yes age no"
    assert figures["Surprise"].count("<circle") == 12 and "nan" not in figures["Surprise"].split("<path")[1]
    assert "Ada  is a name\nVienna" in figures["Memory"]
    assert re.findall(r'<td class="(h\d)">', figures["Recall"]) == ["h4", "h0"]
    shown = Tags(figures["Recall"]).text.replace("\u00a0", " ")
    assert shown == "person home born Ada 75 % of 4 0 % of 2 Bob – 1/0 Eve 5/4 ?"
    chart, _, numbers = figures["Foreseen"].partition("<details>")
    (end,) = re.findall(r'<circle class="f-good" cx="(\S+)" cy="(\S+)" r="4.5"/>', chart)[:1]
    assert end == ("272.3", "24.0"), "95 % foreseen and 38 of 40 come true: on the diagonal"
    bars = [tuple(map(float, it)) for it in re.findall(r'thin good" d="M\S+ (\S+)V(\S+)"', chart)]
    assert len(bars) == 2 and all(low > high for low, high in bars), "of whoever comes first alone"
    assert "rate 50 % 50 % 39–61 % 80" in Tags(numbers).text.replace("\u00a0", " ")
    besides = re.search(r"Measured besides: dream.*?</table>", page, re.DOTALL)
    assert besides and "strict 20 %" in Tags(besides[0]).text.replace("\u00a0", " ")


def test_a_loop_shows_panels_of_the_sealed_problems(tmp_path: Path) -> None:
    figures = (evaluation(WARM, 0.3, 0.6, 90), evaluation(FIRST, 0.4, 0.7, 90))
    final = Final(baseline=figures[0], champion=figures[1], wins=5, losses=3, entropy=1, panels=panels()[:1])
    run = unseal(write_run(tmp_path, (warm_start(), judged(1))), final)
    slices = write_report(run).read_text().partition('id="slices"')[2]
    assert '<figure class="panel"><h4>Dreams kept</h4>' in slices


def test_a_headline_need_not_be_a_share(tmp_path: Path) -> None:
    """Figures, units and what is better come from the task; nothing is an interval here."""
    first, last = likely(WARM, 2.75, 90), likely(FIRST, 2.5, 90)
    gate = (measured("champion", "gate", WARM, 0, 0, 90), measured("challenger", "gate", FIRST, 0, 0, 90))
    sides = tuple(replace(it, evaluation=each) for it, each in zip(gate, (first, last), strict=True))
    start = replace(warm_start(), measured=())
    unlikely = replace(weakness(), slice="boats, sea", fault="unlikely", signal="likelihood", limit=50.0)
    record = replace(judged(1, other_samples()[2:]), measured=sides, weaknesses=(unlikely,))
    run = write_run(tmp_path, (start, record))
    (run / "baseline.json").unlink()
    unseal(run, Final(baseline=first, champion=last, wins=50, losses=30, entropy=7))
    page = write_report(run).read_text()
    text = Tags(page).text.replace("\u00a0", " ")
    assert "The one round was accepted: surprise 2.75 nats → 2.5 nats on 90 sealed problems." in text
    assert "The gain: +22.2 points, problems won less problems lost" in text
    assert "surprise: a token" in text and "surprise 2.75 nats 2.5 nats" in text
    assert "boats, sea perplexity over 50 44 %" in text
    assert not re.search(r"[\"M,L ]nan|inf[\" ]", page)


def test_a_figure_of_several_samples_says_of_how_many() -> None:
    four, eight = evaluation(WARM, 0.3, 0.5, 40, k=4), evaluation(FIRST, 0.4, 0.6, 40, k=8)
    shown = {it.key: it for it in columns([evaluation(WARM, 0.3, 0.5, 40)], [four])}
    assert list(shown) == ["strict", "accuracy", "step_validity", "with_answer", "pass_at_k", "majority"]
    assert (shown["pass_at_k"].title, shown["pass_at_k"].k) == ("pass@4", 4) and not shown["strict"].sampled
    mixed = {it.key: it for it in columns([], [four, eight])}
    assert (mixed["pass_at_k"].title, mixed["pass_at_k"].k) == ("pass at k", 0)


def test_a_round_compares_only_whom_it_has_measured() -> None:
    (start,) = comparisons(warm_start())
    assert start.who == ("challenger",) and [title for title, _ in start.lines][:2] == ["strict", "accuracy"]
    (both,) = comparisons(judged(1))
    titles = [title for title, _ in both.lines]
    assert both.who == ("champion", "challenger")
    assert titles[-3:] == ["pass@4", "majority vote", "distinct completions a problem"]
    assert titles.count("strict") == 1 and "undecided answers" in titles


def test_a_run_of_the_earlier_version_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path, (warm_start(),))
    (run / "config.yaml").write_text("name: q\nline: a/b\nloop: oak_dpo\npropose: {}\n")
    with pytest.raises(ReportError, match="is a run of an earlier version of Ratchet") as refused:
        write_report(run)
    assert "\n" not in str(refused.value)


def damage_round(run: Path) -> None:
    path = run / "rounds/001/round.json"
    path.write_text(path.read_text().replace('"wins":', '"victories":', 1))


def damage_final(run: Path) -> None:
    unseal(run)
    (run / "final.json").write_text((run / "final.json").read_text().replace('"wins":', '"victories":'))


def damage_summary(run: Path) -> None:
    path = run / "summary.json"
    path.write_text(path.read_text().replace('"rounds":', '"cost":1,"rounds":'))


def damage_gate(run: Path) -> None:
    tree = yaml.safe_load((run / "config.yaml").read_text())
    del tree["gate"]["alpha"], tree["gate"]["looks"]
    (run / "config.yaml").write_text(yaml.safe_dump(tree))


def damage_metrics(run: Path) -> None:
    (run / "metrics.jsonl").write_text('{"round": 0}\n{"round": \n{"round": 0}\n')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_round, r"round\.json is not a valid RoundRecord: decision\.looks\.0"),
        (damage_summary, r"summary\.json is not a valid Summary: cost: "),
        (damage_final, r"final\.json is not a valid Final: wins"),
        (damage_metrics, r"metrics\.jsonl is damaged in line 2"),
        (lambda run: (run / "config.yaml").unlink(), r"is not a run: it has no config\.yaml"),
        (
            lambda run: (run / "config.yaml").write_text("gate: {\n- a: b: c\n"),
            r"yaml is not valid YAML at line",
        ),
        (damage_gate, r"must be a run's resolved config, but it lacks gate\.alpha, gate\.looks$"),
        (lambda run: (run / "environment.json").write_text("{"), "cannot be read"),
    ],
)
def test_damaged_runs_are_refused_in_one_sentence(tmp_path: Path, damage: Any, message: str) -> None:
    run = write_run(tmp_path, (warm_start(), judged(1)))
    damage(run)
    with pytest.raises(ReportError, match=message) as caught:
        write_report(run)
    assert "\n" not in str(caught.value)
    assert not list(run.glob("*report*"))


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_ticks_are_few_round_and_inside(high: float) -> None:
    marks = ticks(high)
    assert 2 <= len(marks) <= 6 and marks[0] == 0 and marks[-1] <= high * (1 + 1e-6)
    step = marks[1]
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 5, 10)


@given(st.lists(st.floats(min_value=0, max_value=200), min_size=1, max_size=5))
def test_labels_do_not_overlap(positions: list[float]) -> None:
    moved = spread(positions, 13)
    assert all(b - a >= 13 - 1e-9 for a, b in zip(sorted(moved), sorted(moved)[1:], strict=False))
    assert all(after >= before for before, after in zip(positions, moved, strict=True))


@given(st.lists(st.floats(min_value=0, max_value=174), min_size=3, max_size=3))
def test_labels_stay_above_the_axis(positions: list[float]) -> None:
    moved = sorted(spread(positions, 13, bottom=174))
    assert moved[-1] <= 174 and all(b - a >= 13 - 1e-9 for a, b in zip(moved, moved[1:], strict=False))


@given(st.text(alphabet=st.characters()))
def test_nothing_unseen_is_left(text: str) -> None:
    shown = visible(text)
    assert not [c for c in shown if unicodedata.category(c) in UNSEEN and c not in "\n\t"]
    assert visible(shown) == shown


def test_drawings_stay_in_their_frames(finished: Path) -> None:
    page = finished.read_text()
    drawings = re.findall(r'viewBox="0 0 (\d+) (\d+)" role="img">(.*?)</svg>', page, re.DOTALL)
    assert drawings and len(drawings) == page.count('role="img"')
    for width, height, drawing in drawings:
        for axes, limit in (("x|cx", int(width)), ("y|cy", int(height))):
            found = re.findall(rf' (?:{axes})="(-?[\d.]+)"', drawing)
            assert found and all(-1 <= float(number) <= limit for number in found)
