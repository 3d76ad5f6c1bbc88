"""Directories of runs that remember something, as the loop sleep leaves them."""

from pathlib import Path

from configs.load import dump, load
from engine.memory.judge import judge
from engine.people.attributes import ATTRIBUTES
from engine.records import Lived, Memory, Start, to_json
from tests.support.judging import dialogue, statement

ROOT = Path(__file__).parents[2]
ANN, ANNA = "Ann Reed", "Anna Reed"
DAYS = [
    [
        (ANN, "I live in Oslo.", "home", "Oslo"),
        (ANN, "I think I moved in 1999.", "moved_year", "1999"),
        (ANNA, "I live in Turku.", "home", "Turku"),
        (ANNA, "I had soup for lunch.", "lunch", "soup"),
    ],
    [
        (ANN, "I have moved to Port Lenn.", "home", "Port Lenn"),
        (ANNA, "I am married to a lamp.", "spouse", "a lamp"),
    ],
]


def run_of(path: Path, config: str = "configs/sleep.yaml") -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(dump(load(ROOT / config)))
    return path


def live(run: Path, days: int = 2, *, before: int = 0, known: tuple[Memory, ...] = ()) -> Path:
    """Write what the first days leave; the line had lived `before` days, and knew `known` by then."""
    start = Start(champion="m", epoch=1, lived=Lived(days=before, memories=known))
    (run / "start.json").write_text(to_json(start))
    memories = list(known)
    for number, said in enumerate(DAYS[:days], 1):
        folder = run / "rounds" / f"{number:03d}"
        folder.mkdir(parents=True)
        talks = [
            dialogue(f"U: {text}", person=who, id=f"talk-{place}")
            for place, (who, text, _, _) in enumerate(said)
        ]
        statements = [
            statement(talk, 0, who, what, value)
            for talk, (who, _, what, value) in zip(talks, said, strict=True)
        ]
        judgements, memories = judge(statements, memories, ATTRIBUTES, dialogues=talks, day=before + number)
        for name, rows in (("judgements", judgements), ("memory", memories)):
            (folder / f"{name}.jsonl").write_text("".join(f"{to_json(row)}\n" for row in rows))
    return run
