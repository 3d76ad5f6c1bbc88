"""How long the prompts, gold replies and rows of records are, against what a model is given."""

from collections.abc import Callable, Sequence
from pathlib import Path

from configs.schema import Config, Sampler
from engine.models.identity import read_json
from engine.models.suitable import context_of
from engine.preflight.findings import Finding
from engine.tasks.lines import Line
from engine.terminal import counted

_TEMPLATE = 60
"""Tokens that a chat template adds, about."""


def passages_fit(
    lines: Sequence[Line], sampler: Sampler, tokenizer: Path | None, config: Config | None = None
) -> list[Finding]:
    """Passages are scored and learnt whole, so each must fit into what a model reads at once, and into a row.

    `config` is the campaign's, where there is one.
    """
    count, unit = _counter(tokenizer)
    sizes, (room, key) = [count(line.prompt) for line in lines], _room(sampler, tokenizer)
    return [
        _finding("passages", sizes, lines, room - 1, unit, key),
        *_rows_fit(sizes, lines, 0, unit, config),
    ]


def lengths_of(
    lines: Sequence[Line], sampler: Sampler, tokenizer: Path | None, config: Config | None = None
) -> list[Finding]:
    """Prompts must leave room for an answer, and gold replies must fit into it, and both together into a row.

    Without a tokenizer lengths are in characters, of which a token has at least one. `config` is the
    campaign's, where there is one: its system message counts, and its trainings.
    """
    count, unit = _counter(tokenizer)
    system = config.system if config else None
    prompts = [count((line.system if system is None else system) + line.prompt) for line in lines]
    replies = [count(line.reply) for line in lines]
    learnt = [place for place, line in enumerate(lines) if line.reply]
    rows = [prompts[place] + replies[place] for place in learnt]
    (room, key), new = _room(sampler, tokenizer), sampler.max_new_tokens
    return [
        _finding("prompts", prompts, lines, room - new - _TEMPLATE, unit, key),
        _finding("gold replies", replies, lines, new, unit, "sampler.max_new_tokens"),
        *_rows_fit(rows, [lines[place] for place in learnt], _TEMPLATE, unit, config),
    ]


def _room(sampler: Sampler, tokenizer: Path | None) -> tuple[int, str]:
    """The tokens that a model reads at once, and what limits them: the model beside `tokenizer`, or a key."""
    model = tokenizer.with_name("config.json") if tokenizer else None
    own = context_of(read_json(model)) if model and model.is_file() else None
    if own and own[1] < sampler.max_model_len:
        return own[1], f"the model's own context ({own[0]})"
    return sampler.max_model_len, "sampler.max_model_len"


def _rows_fit(
    sizes: Sequence[int], lines: Sequence[Line], more: int, unit: str, config: Config | None
) -> list[Finding]:
    """Rows that are longer than a training takes are left out of it: none may be, with `more` tokens each."""
    trains = config.trains if config else {}
    if not sizes or not trains:
        return []
    key = min(trains, key=lambda each: trains[each].max_length)
    room = trains[key].max_length - more
    return [_finding("rows of training", sizes, lines, room, unit, f"{key}.max_length")]


def _finding(
    what: str, sizes: Sequence[int], lines: Sequence[Line], room: int, unit: str, key: str
) -> Finding:
    longest = max(range(len(sizes)), key=lambda place: sizes[place])
    middle = sorted(sizes)[len(sizes) // 2]
    found = f"{counted(middle, unit)} (median), at most {sizes[longest]} ({lines[longest].place})"
    if unit != "token":
        return Finding(section="lengths", what=what, found=f"{found}; in tokens with --model DIRECTORY")
    over = sum(size > room for size in sizes)
    return Finding(
        section="lengths",
        what=what,
        found=found
        + (
            f"; {over} {'is' if over == 1 else 'are'} longer than {room}, which is left by {key}"
            if over
            else ""
        ),
        ok=not over,
        remedy="a larger limit, or shorter records" if over else "",
    )


def _counter(tokenizer: Path | None) -> tuple[Callable[[str], int], str]:
    if tokenizer is None:
        return len, "character"
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(tokenizer))
    return (lambda text: len(loaded.encode(text, add_special_tokens=False).ids)), "token"
