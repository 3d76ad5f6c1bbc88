"""The model card of an export: its lineage, how it was judged, what it learnt, and what nobody has shown.

    README.md    in Markdown, as model hubs show it, with the little front matter that they read

All of it is taken from the registry and from the export's own record. Text that a task or a verifier wrote is
escaped, so that it can neither break a table nor add a tag.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from configs.load import ConfigError
from engine.earlier import begun_by_earlier, config_of
from engine.export.exported import Exported
from engine.export.levels import Form
from engine.export.table import sentences, table_of
from engine.records import Decision
from engine.registry.lines import Event, EventKind
from engine.registry.registry import Registry
from engine.registry.store import Manifest
from engine.tasks.snapshots import snapshot_of
from engine.terminal import printable

_LIBRARY = {Form.HF: "transformers", Form.GGUF: "llama.cpp"}
_JUDGING = (EventKind.PROMOTED, EventKind.BASELINE, EventKind.REFUSED, EventKind.CARRIED, EventKind.DROPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Where a model comes from, as the registry tells it."""

    lineage: tuple[Manifest, ...]
    """The model first, its ancestors after it."""
    events: tuple[Event, ...]
    """What became of the model on its lines, the oldest first."""
    data: tuple[str, ...] = ()
    """The data cards of the curated snapshots that it learnt from, in sentences, the newest first."""

    @property
    def decision(self) -> Decision | None:
        """The last decision about the model; None where it was never judged."""
        decisions = [event.decision for event in self.events if event.decision]
        return decisions[-1] if decisions else self.lineage[0].decision if self.lineage else None


def past_of(home: Path, model_id: str) -> Past:
    """Read what the registry and its runs know of a model. Raises RegistryError."""
    registry = Registry(home)
    told = [event for line in registry.lines() for event in registry.history(line.name)]
    events = sorted(told, key=lambda event: event.time)
    lineage = registry.lineage(model_id)
    return Past(
        lineage=lineage,
        events=tuple(each for each in events if each.model_id == model_id and each.kind in _JUDGING),
        data=tuple(_data_cards(home, [each.model_id for each in lineage], events)),
    )


def _data_cards(home: Path, models: Sequence[str], events: Sequence[Event]) -> Iterator[str]:
    """The data cards of the runs that made some models, each once.

    The first event about a model names its run. A run that is gone, or that this version cannot read, says
    nothing.
    """
    made: dict[str, str] = {}
    for event in events:
        made.setdefault(event.model_id, event.run_id)
    for run_id in dict.fromkeys(made[each] for each in models if made.get(each)):
        run = home / "runs" / run_id
        with suppress(ConfigError):
            if (run / "config.yaml").is_file() and not begun_by_earlier(run):
                snapshot = snapshot_of(config_of(run).task, home)
                yield from snapshot.told() if snapshot else ()


def card_of(exported: Exported, past: Past) -> str:
    """The text of the card."""
    parts = [_front(exported), *_what(exported)]
    parts += ["## The files", *_files(exported)] if exported.files else []
    parts += ["## Lineage", _table(_lineage(past.lineage))]
    parts += ["## How it was judged", *_decision(past)]
    parts += ["## What it learnt from", *_data(past)]
    parts += ["## Limits", *(f"- {limit}" for limit in _limits(exported, past))]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n"


def _front(exported: Exported) -> str:
    library = _LIBRARY[exported.format]
    return f"---\nlibrary_name: {library}\npipeline_tag: text-generation\ntags:\n- ratchet\n---"


def _what(exported: Exported) -> list[str]:
    name = exported.line or exported.model_id
    of_line = f", the champion of the line `{exported.line}`" if exported.line else ""
    holds = (
        "This folder holds its weights, merged, with tokenizer and chat template; it hashes to that id."
        if exported.format is Form.HF
        else "The GGUF files below were made from its weights, and hold its tokenizer and chat template."
    )
    tools = ", ".join(f"{tool} {version}" for tool, version in exported.tools.items())
    made = f"Exported {exported.created} by Ratchet {exported.code_version}{f' with {tools}' * bool(tools)}."
    return [f"# {name}", f"Model `{exported.model_id}`{of_line}. {holds}", made]


def _files(exported: Exported) -> list[str]:
    return [_table(table_of(exported)), *(f"- {_text(each)}" for each in sentences(exported))]


def _lineage(lineage: Sequence[Manifest]) -> list[tuple[str, ...]]:
    """A row for the model and each ancestor, the newest first."""
    head = ("model", "trained from", "training set", "seed", "config", "code")
    rows = [
        (
            each.model_id,
            each.parent_id or "a base",
            each.training_set_id or "none",
            str(each.seed),
            each.config_hash,
            each.code_version,
        )
        for each in lineage
    ]
    return [head, *rows]


def _decision(past: Past) -> list[str]:
    moves = [
        f"- {event.time[:19]} UTC: {_text(str(event.kind))} in run `{event.run_id}`" for event in past.events
    ]
    decision = past.decision
    if decision is None:
        return [*moves, "No decision about this model is kept: nothing is claimed of it."]
    against = f"champion `{decision.champion_id}`" if decision.champion_id else "nothing"
    verdict = "Accepted" if decision.accepted else "Refused"
    head = ("check", "observed", "allowed", "passed")
    checks = [
        (
            check.name,
            check.observed,
            check.threshold,
            "yes" if check.passed else "no" if check.ran else "not run",
        )
        for check in decision.checks
    ]
    return [
        *moves,
        f"{verdict}, compared with {against}: {_text(decision.reason)}",
        f"Level {decision.level:g}, problems drawn by entropy {decision.entropy}; second verifier: "
        f"{_text(decision.second_verifier)}.",
        _table([head, *checks]),
    ]


def _data(past: Past) -> list[str]:
    sets = ", ".join(f"`{each.training_set_id}`" for each in past.lineage if each.training_set_id)
    learnt = f"Training sets, by the hash of their rows, the newest first: {sets}."
    return [learnt if sets else "Nothing was trained.", *map(_text, past.data)]


def _limits(exported: Exported, past: Past) -> list[str]:
    """What the evidence above does not say."""
    limits = ["What is shown is shown on the checks above, and on nothing else that the model may be asked."]
    decision = past.decision
    if decision and decision.level == 0:
        limits.append("It is a first champion: it was not tested for being better than anything.")
    if decision and not decision.accepted:
        limits.append("The gate did not accept this model.")
    if decision and decision.second_verifier == "none":
        limits.append("Every answer was judged by one verifier: no second one confirms it.")
    if exported.format is Form.GGUF:
        limits.append(
            "Storing weights in fewer bits changes answers. The checks of the gate were not repeated."
        )
        if exported.setting is None:
            limits.append("These files were not judged: nobody knows whether they answer as the model does.")
    limits.append("The licences of the base model and of the data apply. Ratchet does not know them.")
    return limits


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *others = [[_text(cell) for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Text as one line of Markdown that shows it as it is."""
    line = " ".join(printable(text).split())
    return re.sub(r"([\\`*_|\[\]#~])", r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;")
