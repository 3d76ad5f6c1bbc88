"""The table of an export: a row for the champion and one for each file, with what a level costs."""

from engine.export.exported import Exported, ExportedFile
from engine.records import Figure, Interval
from engine.terminal import counted

Row = tuple[str, ...]
_MIB = 1 << 20
_ABOUT = ("file", "MiB", "bits a weight", "stored as")


def table_of(exported: Exported) -> list[Row]:
    """The head of the table and its rows, as text; empty for an export without GGUF files."""
    if not exported.files:
        return []
    setting = exported.setting
    if setting is None:
        return [_ABOUT, *(_about(file) for file in exported.files)]
    judged = (setting.champion.title, "won", "lost", "win rate", "drop under (95 %)", "tokens a second")
    champion = ("champion", "", "", "", _shown(setting.champion), "", "", "", "", "", "")
    return [(*_ABOUT, *judged, "verdict"), champion, *(_judged(file) for file in exported.files)]


def parts_of(exported: Exported) -> list[list[Row]]:
    """The same as tables that fit a terminal: what the files are, and how they were judged."""
    if exported.setting is None:
        return [table_of(exported)] if exported.files else []
    head, champion, *files = table_of(exported)
    names = ("", "champion", *(str(file.level) for file in exported.files))
    about = [row[: len(_ABOUT)] for row in (head, *files)]
    judged = [(name, *row[len(_ABOUT) :]) for name, row in zip(names, (head, champion, *files), strict=True)]
    return [about, judged]


def sentences(exported: Exported) -> list[str]:
    """What the table rests on, below it."""
    setting = exported.setting
    if setting is None:
        return ["None of these files was judged." for _ in exported.files[:1]]
    margin, power = f"{100 * setting.margin:g}", f"{100 * setting.power:.0f}"
    drawn = "" if setting.seed is None else f", drawn by seed {setting.seed}"
    steered = (
        f"These are problems of the part {setting.part} (of curated data the set validation), which may have "
        "steered the campaign, so they are not fresh: they show what a file loses, and less how good it is."
    )
    return [
        f"The champion and every file answered the same {setting.num_problems} problems of "
        f"{setting.task}{drawn}, greedy; each file through llama.cpp, {setting.num_parallel} answers at a "
        f"time on {counted(setting.threads, 'thread')}.",
        *([steered] if setting.part else []),
        f"Accepted is what is shown to lose fewer than {margin} points, and reads the champion's prompts. A "
        f"file as good as the champion is accepted with a chance of {power} % where the two differ on a "
        "tenth of the problems.",
        *(_why(file) for file in exported.files if file.judged and not file.judged.accepted),
    ]


def _about(file: ExportedFile) -> Row:
    kinds = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in file.kinds.items() if share >= 0.005)
    return file.name, f"{file.num_bytes / _MIB:.1f}", f"{file.bits_per_weight:.2f}", kinds


def _judged(file: ExportedFile) -> Row:
    judged = file.judged
    assert judged, "a setting is of files that were judged"
    return (
        *_about(file),
        _shown(judged.figure),
        str(judged.won),
        str(judged.lost),
        f"{100 * judged.win_rate:.1f} %",
        f"{100 * judged.drop_bound:.1f} points",
        f"{judged.tokens_per_second:.0f}",
        file.verdict,
    )


def _why(file: ExportedFile) -> str:
    assert file.judged
    failed = next(check for check in file.judged.checks if not check.passed)
    return f"{file.name} is refused: {failed.name}: {failed.observed}, allowed is {failed.threshold}."


def _shown(figure: Figure) -> str:
    value = figure.value
    if isinstance(value, Interval):
        return f"{100 * value.rate:.1f} % ({100 * value.low:.1f} to {100 * value.high:.1f})"
    return f"{value:.3g}"
