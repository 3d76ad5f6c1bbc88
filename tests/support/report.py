"""Reports opened in a real browser and read as HTML."""

import os
import shutil
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

HOSTILE = (
    "</pre></style><script>document.title='owned'</script><img src=x onerror=alert(1)>"
    "\"' onload='x\u202e\x1b[31m"
)


def browser() -> str:
    """Find an installed Chromium, or fail the test."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.fail(
        "this test opens the report in Chromium, which is missing: `make test` or `apt-get install chromium`"
    )


def chromium(page: Path, *options: str) -> str:
    """Open a page headless, in a fresh profile, and return what Chromium prints."""
    flags = ["--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--disable-dev-shm-usage"]  # containers give /dev/shm too little
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser(), *flags, f"--user-data-dir={profile}", *options, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


class Tags(HTMLParser):
    """Every tag and attribute of a page, and the text outside the style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def poison(value: Any, key: str = "") -> Any:
    """Make every free text of a record hostile, be it a value or a key of its own."""
    if isinstance(value, dict):
        own = HOSTILE if key in KEYED else ""
        return {own + name: poison(it, name) for name, it in value.items()}
    if isinstance(value, list):
        return [poison(it, key) for it in value]
    return HOSTILE + value if isinstance(value, str) and key not in ENUMS else value


ENUMS = {"status", "finish", "method", "kind", "unit", "better", "who", "signal"}
"""Fields that hold one of a few words."""
KEYED = {"shares"}
"""Fields whose keys are free text."""
