"""The report and the findings of an experiment, read as HTML and in a browser, at every stage of it.

python -m pytest tests/tune/test_experiment_report.py
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import ratchet
from engine.records import Broken, Figure, Watched, to_json
from engine.report.data import ReportError
from tests.support.browser import tab
from tests.support.fixtures_experiment import GAINS, ID, RARE, Stages, write_experiment
from tests.support.report import HOSTILE, Tags, poison
from tune.experiment_data import read_experiment
from tune.experiment_report import axis, marks, write_experiment_report
from tune.findings import Findings, findings_of
from tune.lessons import conclusion, lessons, observations
from tune.listing import logged, print_list
from tune.watched import Broke
from tune.words import difference_text

SECTIONS = {"lessons", "trials", "resources", "provenance"}
MEASURED = {"arms", "differences", "slices", "elsewhere"}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_experiment(tmp_path_factory.mktemp("home") / "runs" / "aimed")


def found_in(run: Path) -> Findings:
    evidence = read_experiment(run).evidence
    assert evidence
    return findings_of(evidence)


def text_of(run: Path) -> str:
    return Tags(write_experiment_report(run).read_text()).text


def ids(page: str) -> set[str | None]:
    return {value for name, value in Tags(page).attributes if name == "id"}


def test_hypothesis_and_conclusion_come_first(ended: Path) -> None:
    page = write_experiment_report(ended).read_text()
    text = Tags(page[page.index("<body>") :]).text
    places = [
        text.index(words)
        for words in (
            ID,
            "Hypothesis. Aimed problems teach more in the rare slice",
            "Supported: targeted against random on the weak slices: +30",
            "✓ Supported",
            "1 trial failed",
            "What failed loss explosion , longest with seed 3",
        )
    ]
    assert places == sorted(places)
    assert ids(page) >= SECTIONS | MEASURED
    for words in ("energy", "not reported", "0.10 EUR", "placebo lost against the champion on sentinel"):
        assert words in text or words in text.lower(), words


def test_findings_are_those_of_the_arms(ended: Path) -> None:
    found = found_in(ended)
    assert (found.verdict, found.primary, found.unit) == ("supported", "weak", "share")
    weak = {arm: found.of(arm, "weak", "random") for arm in GAINS if arm != "random"}
    seen = {arm: each.effect.mean for arm, each in weak.items() if each}
    assert seen["targeted"] > 0.15 and seen["longest"] < -0.02 and seen["placebo"] < -0.1
    longest = weak["longest"]
    assert longest and longest.effect.num_seeds == 3, "a seed that failed in one arm is no pair"
    saved = found.saving("targeted", "weak")
    assert saved and saved.value and saved.value > 2 and saved.both.low > 1
    assert found.saving("random", "weak") is None and found.saving("none", "weak") is None
    kinds = [each.kind for each in found.faults]
    assert kinds == ["loss explosion", *["regression"] * 4], "the placebo is worse than the champion"
    shown = {arm: sum(each.shown for each in found.against_champion if each.arm == arm) for arm in GAINS}
    assert shown["placebo"] == 0 and shown["targeted"] == 4
    slices = [each for each in found.comparisons if each.kind == "slice" and each.where == RARE]
    assert {each.effect.num_problems for each in slices} == {80}


def test_sentences_say_what_was_seen_and_what_was_refused(ended: Path) -> None:
    evidence = read_experiment(ended).evidence
    assert evidence
    found = findings_of(evidence)
    assert f"The champion is weak in {RARE}, mined on 240 problems" in observations(evidence, found)[0]
    learnt = {sentence.split()[0]: sentence for sentence in lessons(evidence, found)}
    assert learnt.keys() == {"targeted", "longest", "placebo", "none"}
    assert learnt["targeted"].endswith("shown better.") and learnt["placebo"].endswith("shown worse.")
    judged = found.of("targeted", "weak", "random")
    assert judged and difference_text(judged.effect, "share") in conclusion(evidence, found)


@pytest.mark.parametrize(
    ("until", "words"),
    [
        ("start", "Nothing is measured yet"),
        ("ground", "Undecided: no seed has finished in both targeted and random"),
        ("trials", "Not concluded yet: targeted against random on the weak slices"),
    ],
)
def test_unfinished_experiments(tmp_path: Path, until: str, words: str) -> None:
    run = write_experiment(tmp_path / until, until)
    page = write_experiment_report(run)
    text = Tags(page.read_text()).text
    assert words in text and "Still running, or interrupted." in text
    assert ids(page.read_text()) == (SECTIONS | MEASURED if until == "trials" else SECTIONS)
    assert yaml.safe_load((run / "experiment.yaml").read_text())["status"] == "under way"
    if until == "trials":
        states = [each.status for each in read_experiment(run).trials]
        assert states == [*["finished"] * 8, *["under way"] * 12]
        assert found_in(run).verdict == "undecided", "no look on the way decides"


def test_every_chart_is_named_and_stays_in_its_frame(ended: Path, tmp_path: Path) -> None:
    for run in (ended, write_experiment(tmp_path / "few", seeds=2)):
        page = write_experiment_report(run).read_text()
        drawings = re.findall(r'viewBox="0 0 (\d+) (\d+)" role="img">(.*?)</svg>', page, re.DOTALL)
        assert len(drawings) == 2 + 2 * 2  # curves; differences and data ratios
        for width, height, drawing in drawings:
            assert drawing.lstrip().startswith("<title>") and not re.search(r"[\"M,L ]nan|inf[\" ]", drawing)
            for axes, limit in (("x|cx", int(width)), ("y|cy", int(height))):
                found = re.findall(rf' (?:{axes})="(-?[\d.]+)"', drawing)
                assert found and all(-1 <= float(number) <= limit for number in found)
            for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", drawing):
                assert -1 <= float(x) <= int(width) and -1 <= float(y) <= int(height)


def test_an_axis_holds_every_mean_and_zero(ended: Path) -> None:
    drawn = marks(found_in(ended), "weak", "random")
    scale = axis(drawn, "share", 0.03)
    assert all(scale.low < mark.mean < scale.high for mark in drawn)
    assert (0.0, "0") in scale.ticks and 3 <= len(scale.ticks) <= 9


def test_slices_that_were_found_are_said_to_be_found(ended: Path, tmp_path: Path) -> None:
    run = write_experiment(tmp_path / "runs" / "found")
    ground = json.loads((run / "ground.json").read_text())
    (run / "ground.json").write_text(json.dumps(ground | {"num_found": 20}))
    words = "The slices were found among the 240 problems on which the champion was probed"
    assert words in text_of(run) and words not in text_of(ended)


def test_schedules_of_all_trainings_of_a_loop_are_named(ended: Path, tmp_path: Path) -> None:
    run = write_experiment(tmp_path / "runs" / "two")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["loop"] = {"name": "domain", "dpo": {"schedule": "linear"}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    words = "The learning rate falls over a training (schedule cosine, linear), so that early checkpoints"
    assert words in " ".join(text_of(run).split()) and words not in " ".join(text_of(ended).split())


def test_scores_of_texts_are_compared_in_nats(tmp_path: Path) -> None:
    run = write_experiment(tmp_path / "runs" / "nats")
    champion = json.loads((run / "champion/measure.json").read_text())

    def in_nats(reading: dict[str, Any]) -> dict[str, Any]:
        reading["evaluation"]["figures"] = [
            {
                "key": "nll",
                "title": "nats a token",
                "value": 2.5,
                "unit": "nats",
                "note": "",
                "better": "lower",
            }
        ]
        reading["evaluation"]["headline"] = "nll"
        reading["scores"] = [score / 10 - 3 for score in reading["scores"]]
        return reading

    (run / "champion/measure.json").write_text(json.dumps(in_nats(champion)))
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for line in lines:
        line["readings"] = [in_nats(reading) for reading in line["readings"]]
    (run / "trials.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    page = write_experiment_report(run).read_text()
    assert found_in(run).unit == "nats" and "+0.030 nats a token" in Tags(page).text
    assert not re.search(r"[\"M,L ]nan|inf[\" ]", page)


def broke(arm: str, seed: int, num: int, repeats: float, said: str) -> Broke:
    """A trial in which some requests broke, and that repeats itself."""
    ids = tuple(f"capital-{number:02d}" for number in range(num))
    before, after = (
        (Figure(key="repetition", title="repeated within a reply", value=each),) for each in (0.1, repeats)
    )
    example = Broken(id="capital-00", asked="The capital of France?", before="Paris", after=said)
    return Broke(
        arm=arm,
        seed=seed,
        watched=Watched(
            suite="instructions",
            before_id="c" * 16,
            after_id="d" * 16,
            broken=ids,
            num_mended=1,
            examples=(example,) if num else (),
            before=before,
            after=after,
        ),
    )


def test_what_broke_is_shown_by_examples_and_replies_by_their_variety(tmp_path: Path) -> None:
    run = write_experiment(tmp_path / "runs" / "broken")
    assert "What broke" not in text_of(run), "an experiment of an earlier version"
    rows = [
        broke("targeted", 0, 2, 0.2, "Rome"),
        broke("targeted", 1, 5, 0.4, HOSTILE),
        broke("random", 0, 0, 0.1, ""),
    ]
    Stages(run).write("watched", rows, lines=True)
    page = write_experiment_report(run)
    text = " ".join(Tags(page.read_text()).text.split())
    assert "targeted with seed 1" in text and "5 worse, 1 better" in text and "with seed 0 instr" not in text
    assert "The capital of France?" in text and "Rome" not in text, "the seed in which most broke"
    assert "Replies to instructions, means over seeds model repeated within a reply champion 10 %" in text
    assert "targeted 30 % random 10 %" in text and "<script" not in page.read_text()


@pytest.mark.slow
def test_text_of_users_cannot_leave_its_place(tmp_path: Path) -> None:
    run = write_experiment(tmp_path / "run")
    clean = Tags(write_experiment_report(run).read_text())
    design = yaml.safe_load((run / "design.yaml").read_text())
    design |= {"hypothesis": HOSTILE, "campaign": HOSTILE, "price": {"amount": 1.0, "currency": HOSTILE[:20]}}
    (run / "design.yaml").write_text(yaml.safe_dump(design, sort_keys=False))
    for name in ("problems.jsonl", "trials.jsonl"):
        rows = [json.loads(line) for line in (run / name).read_text().splitlines()]
        for row in rows:
            row |= {key: HOSTILE + row[key] for key in ("slice", "reason") if row.get(key)}
        (run / name).write_text("\n".join(map(json.dumps, rows)) + "\n")
    (run / "environment.json").write_text(json.dumps(poison({"python": "3.11"})))
    page = write_experiment_report(run)
    dirty = Tags(page.read_text())
    assert set(dirty.tags) - set(clean.tags) == set()
    assert {name for name, _ in dirty.attributes} - {name for name, _ in clean.attributes} == set()
    assert "<script" not in page.read_text() and "⟨U+202E⟩⟨U+001B⟩[31m" in page.read_text()
    assert yaml.safe_load((run / "experiment.yaml").read_text())["hypothesis"] == HOSTILE


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_page_fits_and_complains_of_nothing(ended: Path, width: int) -> None:
    with tab() as browsed:
        browsed.resize(width, 1600)
        browsed.open(write_experiment_report(ended).as_uri())
        browsed.run("document.querySelectorAll('details').forEach(it => it.open = true)")
        assert browsed.run("document.documentElement.scrollWidth") == width
        assert browsed.complaints == []


def test_damaged_records_are_refused_in_one_sentence(tmp_path: Path) -> None:
    run = write_experiment(tmp_path / "x", "ground")
    (run / "ground.json").write_text('{"champion": 3}')
    with pytest.raises(ReportError, match=r"ground\.json is not a valid Ground: champion") as caught:
        write_experiment_report(run)
    assert "\n" not in str(caught.value)
    (run / "journal.jsonl").write_text("")
    with pytest.raises(ReportError, match="is an experiment that has not begun"):
        write_experiment_report(run)


@pytest.mark.slow
def test_commands_print_the_page_and_the_list(
    ended: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ended.parents[1]
    monkeypatch.setenv("RATCHET_HOME", str(home))
    ratchet.report("aimed")
    assert capsys.readouterr().out.strip() == str(ended / "experiment.html")
    write_experiment_report(write_experiment(home / "runs" / "half", "trials", hypothesis="\x1b[31mHalf."))
    whole = (ended / "experiment.yaml").read_text()
    other = {"results": {"metrics": []}, "date": 1, "configuration": {"treatment": "a", "control": "b"}}
    for number, text in enumerate(("experiment_id: [", yaml.safe_dump(other), f"{whole}\nat: 2026-13-45\n")):
        (home / "runs" / f"torn-{number}").mkdir()
        (home / "runs" / f"torn-{number}" / "experiment.yaml").write_text(text)
    (home / "runs" / "latest").symlink_to("aimed")
    listed = logged(home)
    assert [each.run_id for each in listed] == ["aimed", "half"], "what cannot be read is left out"
    print_list(listed)
    out = capsys.readouterr().out
    assert out.count(ID) == 4 and "Not concluded yet: targeted" in out and "\x1b" not in out
    print_list([])
    assert "there is no experiment yet" in capsys.readouterr().out
    assert json.loads(to_json(listed[0]))["verdict"] == "supported"
