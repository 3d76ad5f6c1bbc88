"""How long the prompts and gold replies of records are, against what a model is given."""

from collections.abc import Callable, Sequence
from pathlib import Path

from configs.schema import Sampler
from engine.preflight.findings import Finding
from engine.tasks.lines import Line
from engine.terminal import counted

_TEMPLATE = 60
"""Tokens that a chat template adds, about."""


def passages_fit(lines: Sequence[Line], sampler: Sampler, tokenizer: Path | None) -> list[Finding]:
    """Passages are scored whole, so each must fit into what a model reads at once."""
    count, unit = _counter(tokenizer)
    sizes, room = [count(line.prompt) for line in lines], sampler.max_model_len
    return [_finding("passages", sizes, lines, room - 1, unit, "sampler.max_model_len")]


def lengths_of(lines: Sequence[Line], sampler: Sampler, tokenizer: Path | None) -> list[Finding]:
    """Prompts must leave room for an answer, and gold replies must fit into it.

    Without a tokenizer lengths are in characters, of which a token has at least one.
    """
    count, unit = _counter(tokenizer)
    prompts = [count(line.system + line.prompt) for line in lines]
    replies = [count(line.reply) for line in lines]
    room, new = sampler.max_model_len, sampler.max_new_tokens
    return [
        _finding("prompts", prompts, lines, room - new - _TEMPLATE, unit, "sampler.max_model_len"),
        _finding("gold replies", replies, lines, new, unit, "sampler.max_new_tokens"),
    ]


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
        remedy=f"a larger {key}, or shorter records" if over else "",
    )


def _counter(tokenizer: Path | None) -> tuple[Callable[[str], int], str]:
    if tokenizer is None:
        return len, "character"
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(tokenizer))
    return (lambda text: len(loaded.encode(text, add_special_tokens=False).ids)), "token"
