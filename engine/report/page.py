"""Draws a report's page: escaping and visible text, the scales of its charts, writing in one step.

A page is self-contained HTML. Part of its text comes from models and users, so all text is escaped, unseen
characters are shown as code points, and the page's own policy allows no script and no request. Style and
words that pages share are in `page.html.j2`.
"""

import math
import os
import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from engine.measure.stats import interval

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of characters that have an effect but no glyph."""


def write_page(target: Path, template: Path, **content: Any) -> Path:
    """Render a template with its content into a file, replaced in one step, and return the file's path."""
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
    )
    environment.filters["csp_hash"] = lambda css: b64encode(sha256(css.encode()).digest()).decode()
    environment.globals.update(
        scale=scale,
        ticks=ticks,
        spread=spread,
        number_of=number_of,
        share_of=share_of,
        interval_of=interval,
    )
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = environment.get_template(template.name).render(written=written, **content)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def scale(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
    """Map values linearly to drawing units; an empty range maps to the start."""
    return lambda value: round(start + (stop - start) * (value - low) / ((high - low) or 1), 1)


def ticks(high: float, count: int = 4) -> list[float]:
    """Choose about `count` round numbers from 0 to `high`."""
    raw = max(high, 1e-12) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    return [round(step * i, 12) for i in range(int(high / step + 1e-9) + 1)]


def spread(positions: Sequence[float], gap: float, bottom: float = math.inf) -> list[float]:
    """Move the positions of labels apart to at least `gap`, in order of position.

    Labels move down in y, and back up where one would pass `bottom`.
    """
    moved: dict[int, float] = {}
    for index in sorted(range(len(positions)), key=lambda i: positions[i]):
        moved[index] = max(positions[index], max(moved.values(), default=-gap) + gap)
    for index in reversed(list(moved)):
        if moved[index] <= bottom:
            break
        moved[index] = bottom
        bottom -= gap
    return [moved[index] for index in range(len(positions))]


def number_of(text: str) -> float | None:
    """Read a finite number that a record keeps as text; None for any other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def share_of(text: str) -> tuple[int, int] | None:
    """Read a share that a record keeps as text, such as ``3/4``; None for any other text."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    passed, asked = (int(match[1]), int(match[2])) if match else (0, 0)
    return (passed, asked) if 0 <= passed <= asked and asked else None


def visible(value: Any) -> Any:
    """Write control, bidi and other unseen characters of a text as code points; leave the rest alone."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    hidden = {c for c in set(value) - {"\n", "\t"} if unicodedata.category(c) in UNSEEN}
    return value.translate({ord(c): f"⟨U+{ord(c):04X}⟩" for c in hidden})
