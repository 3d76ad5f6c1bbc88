"""A campaign on a user's own records from the command line: real engines, tiny model."""

import json
from pathlib import Path

import pytest

from engine.registry.spent import spent_by
from tests.support.cli import cli
from tests.support.kept import Here
from tests.support.records_files import write_rows

pytestmark = pytest.mark.slow

LINE = "mine/tiny"
SMALL = [
    "sampler={max_new_tokens: 8, max_num_seqs: 32, max_model_len: 512, kv_cache_gib: 0.25, dtype: float32}",
    "baseline=null",
    "warm_start.proofs=40",
    "warm_start.train.epochs=1",
    "warm_start.train.rehearsal_share=0.1",
    "loop.probe.num_problems=8",
    "loop.num_problems=8",
    "loop.samples=2",
    "loop.train.rehearsal_share=0.1",
    "gate.looks=2",
    "gate.look_size=10",
    "gate.pass_at_k.num_problems=4",
    "gate.sentinels.suites=[english]",
    "gate.sentinels.perplexity_ratio=100",
    "final.num_problems=4",
]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Questions whose answer is always `yes`, which a random model learns in seconds."""
    rows = [{"prompt": f"Is {i} about cats?", "answer": "yes", "id": f"q{i}"} for i in range(300)]
    return write_rows(tmp_path / "my.jsonl", rows)


def test_records_from_a_file_to_a_judged_round_and_no_further_than_they_suffice(
    tiny_model: Path, records: Path, tmp_path: Path, here: Here
) -> None:
    home = tmp_path / "home"
    arguments = [
        "run",
        "configs/records.yaml",
        f"task.file={records}",
        "task.scorer=exact",
        f"base={tiny_model}",
        f"line={LINE}",
        *SMALL,
    ]
    out = here(home, *arguments, "run_id=a", "--json")
    summary = json.loads(out.strip().splitlines()[-1])
    spent = spent_by(home, LINE)
    assert spent["train"] and spent["sealed"]
    gold = json.loads((home / "runs/a/rounds/000/gold.json").read_text())
    learnt = {row["problem_id"] for row in gold["rows"]}
    assert len(learnt) == 40 and learnt <= spent["train"]
    judged = spent.get("gate", frozenset()) | spent["sealed"]
    assert not judged & spent["train"] and not judged & spent["probe"]
    assert summary["rounds"] <= 1

    # The same run, resumed, draws nothing more; a further campaign is refused for what it lacks.
    here(home, "resume", "a")
    assert spent_by(home, LINE) == spent
    more = cli(home, *arguments, "run_id=b", "budget=new", "final.num_problems=40")
    assert more.returncode == 2
    assert "the records do not suffice: of 300 the sealed part has" in more.stderr
    assert not (home / "runs" / "b").exists()
