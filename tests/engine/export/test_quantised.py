"""Export as GGUF files: judged, described, left out where refused, and resumed after a kill."""

import os
import signal
from pathlib import Path

import pytest

from engine.export.exported import ExportError, read_exported
from engine.export.gguf import facts_of, file_id
from engine.export.levels import Level
from engine.export.quantised import export_gguf
from engine.gate.outcome_files import read
from engine.registry.exported import exports_of, versions_of
from tests.support.exporting import MODEL, Played, asking, champion_says, gguf_order, make_registry
from tests.support.records_files import write_rows

Q8, Q4 = "test-export-q8_0.gguf", "test-export-q4_k_m.gguf"


@pytest.mark.slow
def test_files_that_are_as_good_leave_with_their_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_registry(tmp_path)
    Played(monkeypatch, lambda body: "yes")
    out = tmp_path / "out"
    exported = export_gguf(tmp_path, out, gguf_order(Level.Q8_0, Level.Q4_K_M), champion_says("yes"))
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "answers", "export.json", Q4, Q8]
    assert read_exported(out) == exported
    for file in exported.files:
        assert file.judged and file.judged.accepted and file.kept
        assert (file_id(out / file.name), (out / file.name).stat().st_size) == (file.sha256, file.num_bytes)
        assert facts_of(out / file.name).notes == {
            "model_id": MODEL,
            "line": "test/export",
            "level": file.level,
        }
        assert sum(file.kinds.values()) == pytest.approx(1)
    assert exported.setting and (exported.setting.num_problems, exported.setting.seed) == (40, 3)
    assert sorted(path.name for path in (out / "answers").iterdir()) == [
        "champion.jsonl",
        "q4_k_m.jsonl",
        "q8_0.jsonl",
    ]
    (kept,) = exports_of(tmp_path, MODEL)
    assert [(each.name, each.verdict) for each in kept.files] == [(Q8, "accepted"), (Q4, "accepted")]
    assert versions_of(tmp_path, [MODEL, "another"]) == {each.sha256[:16] for each in exported.files}
    card = (out / "README.md").read_text()
    assert "not fresh" not in card, "the task makes problems without end"
    assert f"| {Q8.replace('_', chr(92) + '_')} |" in card and "| champion |" in card
    assert "accepted with a chance of" in card


@pytest.mark.slow
def test_a_refused_file_is_left_out_and_its_evidence_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_registry(tmp_path)
    Played(monkeypatch, lambda body: "no")
    out = tmp_path / "out"
    exported = export_gguf(tmp_path, out, gguf_order(), champion_says("yes"))
    assert exported.files[0].judged and not exported.files[0].judged.accepted
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "answers", "export.json"]
    assert (
        f"{Q8.replace('_', chr(92) + '_')} is refused: as good as the champion"
        in (out / "README.md").read_text()
    )
    kept = export_gguf(tmp_path, tmp_path / "kept", gguf_order(keeps_refused=True), champion_says("yes"))
    assert kept.files[0].kept and (tmp_path / "kept" / Q8).exists()


def test_files_are_judged_as_the_settings_of_the_task_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_registry(tmp_path)
    rows = [{"prompt": f"Say it, {number}.", "answer": "yes"} for number in range(200)]
    file = write_rows(tmp_path / "my.jsonl", rows)
    Played(monkeypatch, lambda body: "I say yes.")
    order = gguf_order(asking=asking("records", {"file": str(file), "scorer": "contains"}), num=None)
    exported = export_gguf(tmp_path, tmp_path / "out", order, champion_says("yes"))
    judged = exported.files[0].judged
    assert judged and (judged.lost, judged.figure.number) == (0, 1.0), "the task's default would be exact"
    assert exported.setting and 10 < exported.setting.num_problems < 60, "all that the part probe has"
    assert exported.setting.part == "probe"
    assert "problems of the part probe" in (tmp_path / "out" / "README.md").read_text()

    nothing = {"train": 0.5, "probe": 0.0, "gate": 0.4, "sealed": 0.1}
    order = gguf_order(asking=asking("records", {"file": str(file), "shares": nothing}), num=None)
    with pytest.raises(ExportError, match="task records has no record in its part probe"):
        export_gguf(tmp_path, tmp_path / "none", order, champion_says("yes"))


def test_what_was_answered_can_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_registry(tmp_path)
    Played(monkeypatch, lambda body: "no")
    export_gguf(tmp_path, tmp_path / "out", gguf_order(), champion_says("yes"))
    old, new = (read(tmp_path / "out" / "answers" / name) for name in ("champion.jsonl", "q8_0.jsonl"))
    assert len(old.items) == len(new.items) == 40


def test_a_champion_that_passes_next_to_nothing_is_refused_before_a_file_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_registry(tmp_path)
    played = Played(monkeypatch, lambda body: "no")
    with pytest.raises(ExportError, match="passes 0.0% of 40 problems of task toy"):
        export_gguf(tmp_path, tmp_path / "out", gguf_order(), champion_says("no"))
    assert not played.llamas and not (tmp_path / "out").exists()


def test_unjudged_files_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_registry(tmp_path)
    played = Played(monkeypatch, lambda body: "yes")
    exported = export_gguf(tmp_path, tmp_path / "out", gguf_order(asking=None), champion_says("yes"))
    assert exported.setting is None and exported.files[0].judged is None and exported.files[0].kept
    assert not played.llamas
    assert "These files were not judged" in (tmp_path / "out" / "README.md").read_text()


def test_what_an_interrupted_export_has_made_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_registry(tmp_path)
    played = Played(monkeypatch, lambda body: None)
    calls: list[int] = []
    with pytest.raises(RuntimeError, match="llama.cpp did not answer"):
        export_gguf(tmp_path, tmp_path / "out", gguf_order(seed=None), champion_says("yes", calls))
    assert not (tmp_path / "out").exists()
    played.reply = lambda body: "yes"
    exported = export_gguf(tmp_path, tmp_path / "out", gguf_order(seed=None), champion_says("yes", calls))
    assert (played.num_conversions, calls) == (1, [40]), "the same problems, asked once"
    assert exported.setting and exported.setting.seed is not None
    assert exported.files[0].judged and exported.files[0].judged.accepted


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["export/base.gguf:after", "export/champion:after", "export/q8_0:after", "export/finish:inside"]
)
def test_after_kill_9_nothing_is_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    make_registry(tmp_path)
    Played(monkeypatch, lambda body: "yes")

    def work() -> None:
        export_gguf(tmp_path, tmp_path / "out", gguf_order(), champion_says("yes"))

    child = os.fork()
    if not child:
        os.environ["RATCHET_FAULT"] = fault
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert not (tmp_path / "out").exists()
    work()
    assert (tmp_path / "out" / Q8).exists()


def test_a_task_of_passages_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_registry(tmp_path)
    played = Played(monkeypatch, lambda body: "yes")
    order = gguf_order(asking=asking("tests/support/passage_task.py"))
    with pytest.raises(ExportError, match="has passages"):
        export_gguf(tmp_path, tmp_path / "out", order, champion_says("yes"))
    assert not played.num_conversions and not (tmp_path / ".out.partial").exists()
