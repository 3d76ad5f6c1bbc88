"""Which tokens a config's trainings learn: a row of each kind as the trainer sees it, and shares of all rows.

    ratchet doctor configs/quickstart.yaml

The functions are the trainer's own. Learnt tokens stand in double brackets, which survive copying; a terminal
highlights them as well. A config in which nothing would be learnt is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from configs.load import ConfigError
from configs.schema import Config, HubModel
from configs.training import OwnMethod, Train
from engine.curate.rehearse import num_rows, requests
from engine.curate.rows import gold_rows
from engine.models.base import FETCH, embedded_at
from engine.models.prompts import messages, prompt_ids
from engine.models.view import view_of
from engine.plugins import PluginError, naming
from engine.preflight.findings import Finding
from engine.records import Role, TrainingRow
from engine.tasks import suite_of
from engine.tasks.fixed import Fixed
from engine.tasks.suite import Suite
from engine.terminal import printable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from engine.train.methods import Method, TokenisedText

Example = Callable[[Suite, str], TrainingRow]
"""A loop's ``example`` with its settings: a row that it would train on, given suite and system message."""

_SAMPLE = 64
"""Gold answers over which shares are computed."""
_OPEN, _CLOSE = "[[", "]]"
_TEMPLATE = 100
"""More tokens than a chat template adds to the texts of a chat, a system message of its own included."""
_STAND_IN = "(a stand-in for what the base itself answers)"
_SECTION = "learnt tokens"


def require_learnt(config: Config, home: Path, example: Example) -> None:
    """Refuse a config that `examine_learnt` refuses, and load the tokenizer only where rows leave a doubt.

    Loading it takes seconds, and a text has no more tokens than bytes: where the shortest row fits even so,
    a built-in method learns it. Raises as `examine_learnt` does.
    """
    suite = suite_of(config)
    system = _system(config, suite)
    for key, train in config.trains.items():
        material = _material(key, train, suite, config, system, example)
        if material is None:
            continue
        most = min(_most_tokens(row) for row in material.rows)
        if isinstance(train, OwnMethod) or most > train.max_length or not material.shown.weight:
            examine_learnt(config, home, example)
            return


def examine_learnt(config: Config, home: Path, example: Example) -> list[Finding]:
    """Rows and shares of every training of a config.

    Where the base has not been downloaded or has no tokenizer, that is the only finding. Raises ConfigError
    where a training would learn nothing, PluginError for a method's file that cannot be used, and DataError
    as `suite_of`.
    """
    suite = suite_of(config)
    system = _system(config, suite)
    trainings = {
        key: (train, _material(key, train, suite, config, system, example))
        for key, train in config.trains.items()
    }
    tokenizer = _tokenizer(config, home, system)
    if isinstance(tokenizer, str):
        return [Finding(section=_SECTION, what="rows", found=tokenizer)]
    findings: list[Finding] = []
    for key, (train, material) in trainings.items():
        if material is None:
            found = "the task has no gold answers to make an example from"
            findings.append(Finding(section=_SECTION, what=key, found=found))
            continue
        training = _training(key, train, tokenizer)
        findings += [
            *training.row(material.shown),
            *training.shares(material.rows),
            *training.rehearsal(config.seed),
        ]
    return findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """Rows that stand for those of a training, and the one that is shown."""

    rows: list[TrainingRow]
    shown: TrainingRow


def _material(
    key: str, train: Train, suite: Suite, config: Config, system: str, example: Example
) -> _Material | None:
    """None where a training of the loop has no gold answers to show. Raises ConfigError for a warm start."""
    if key in config.loop.trains:
        num = min(_SAMPLE, suite.sizes["train"]) if isinstance(suite, Fixed) else _SAMPLE
        rows = _gold_rows(suite, config, system, num, config.loop.questions)
        if not rows:
            return None
        shown = example(suite, system)
        # Gold answers stand for those that the loop samples, in the form in which it learns them.
        return _Material(
            rows=[replace(row, rejected=shown.rejected, weight=shown.weight) for row in rows], shown=shown
        )
    warm = config.warm_start
    assert warm is not None, "the only training outside the loop"
    rows = _gold_rows(suite, config, system, min(_SAMPLE, warm.proofs), warm.questions)
    if not rows:
        raise ConfigError(f"task {suite.task.name} has no gold answers to learn from: set warm_start=null")
    if not round(warm.proofs * train.epochs):
        raise ConfigError(
            f"{key} would learn nothing: epochs={train.epochs:g} of warm_start.proofs={warm.proofs} "
            "is not one row"
        )
    return _Material(rows=rows, shown=rows[0])


def _system(config: Config, suite: Suite) -> str:
    return suite.task.system if config.system is None else config.system


def _most_tokens(row: TrainingRow) -> int:
    """No row has more tokens: the bytes of its texts, and an allowance for what the chat template adds."""
    asked = sum(len(turn.text.encode()) for turn in row.chat)
    answered = max(len(text.encode()) for text in (row.chosen, row.rejected))
    return asked + answered + _TEMPLATE


def _gold_rows(suite: Suite, config: Config, system: str, num: int, questions: int) -> list[TrainingRow]:
    """The first rows that a campaign draws for its warm start; none where the task has no gold answers."""
    problems = suite.draw(num, split="warm-start", seed=config.seed, questions=questions)
    return [row for problem in problems for row in gold_rows(problem, system=system)]


def _tokenizer(config: Config, home: Path, system: str) -> "PreTrainedTokenizerBase | str":
    """The base's tokenizer, or the sentence that says why no row can be shown. Nothing is downloaded."""
    revision = None
    if isinstance(config.base, HubModel):
        base, revision = config.base.hub, config.base.revision
    elif config.base == "embedded":
        base = str(embedded_at(home))
        if not Path(base).is_dir():
            return f"unknown until the embedded model is downloaded: {FETCH}"
    else:
        base = str(view_of(Path(config.base).absolute(), home))
    # Imported only where there may be a tokenizer, because it takes seconds.
    from jinja2 import TemplateError
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            base, revision=revision, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        if isinstance(config.base, HubModel):
            return f"unknown until {base} is downloaded"
        return f"unknown, because {base} has no tokenizer that can be loaded: {str(error).splitlines()[0]}"
    try:
        prompt_ids(tokenizer, messages(system, ("?",)))
    except (TemplateError, ValueError) as error:
        return f"unknown, because the base's chat template fails: {str(error).splitlines()[0]}"
    return tokenizer


def _training(key: str, train: Train, tokenizer: "PreTrainedTokenizerBase") -> "_Training":
    from engine.train.methods import load_method

    return _Training(key=key, train=train, method=load_method(train), tokenizer=tokenizer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """One training of a config, with the functions of its trainer."""

    key: str
    train: Train
    method: "Method"
    tokenizer: "PreTrainedTokenizerBase"

    def texts(self, row: TrainingRow) -> "list[TokenisedText]":
        """The texts of a row as the trainer sees them. Raises PluginError for a user's file that fails."""
        if not isinstance(self.train, OwnMethod):
            return self.method.tokens(row, self.tokenizer, self.train)
        what = f"tokens of the training method {self.train.method}"
        with naming(what, cast(ModuleType, self.method)):
            texts = list(self.method.tokens(row, self.tokenizer, self.train))
        for text in texts:
            ids: object = getattr(text, "ids", None)
            known = range(len(self.tokenizer))
            if not isinstance(ids, list) or not all(isinstance(id, int) and id in known for id in ids):
                raise PluginError(
                    f"{what} must return TokenisedText whose ids are tokens from 0 to {known[-1]}, got "
                    f"{text!r:.80}"
                )
        return texts

    def row(self, row: TrainingRow) -> list[Finding]:
        """A row with its learnt tokens marked."""
        return [self._marked(self.key, text, row.role) for text in self.texts(row)]

    def rehearsal(self, seed: int) -> list[Finding]:
        """A row of rehearsal, where the training has any; the base's own answer is not known yet."""
        if not self.train.held_share:
            return []
        asked = requests()
        row = TrainingRow(
            problem_id="",
            chat=messages("", (asked[seed % len(asked)],)),
            chosen=_STAND_IN,
            role=Role.HOLD,
        )
        return [self._marked(f"{self.key}, rehearsal", text, row.role) for text in self.texts(row)]

    def shares(self, rows: Sequence[TrainingRow]) -> list[Finding]:
        """Shares of rows and of tokens that are learnt. Raises ConfigError where nothing is."""
        from engine.train.faults import Stopped
        from engine.train.order import fitting

        texts = {row: self.texts(row) for row in rows}
        try:
            fit = fitting(
                rows,
                lambda row: max((len(text.ids) for text in texts[row]), default=0),
                self.train.max_length,
            )
        except Stopped as stopped:
            reason = stopped.reason.replace("train.max_length", f"{self.key}.max_length")
            raise ConfigError(f"{self.key} would learn nothing: {reason}") from None
        seen = [text for row in fit for text in texts[row] if row.weight]
        learnt = sum(max(0, len(text.ids) - text.learnt_from) for text in seen)
        if not learnt:
            raise ConfigError(f"{self.key} would learn nothing: no token of {len(rows)} rows has a loss")
        num = len(rows) * self.train.epochs
        held = num_rows(round(num), self.train.held_share)
        validation = self.train.validation_share
        share = len(fit) * self.train.epochs * (1 - validation) / (num + held)
        what = "gold answers" if any(row.chat for row in rows) else "passages"
        parts = [f"{len(fit)} of {len(rows)} {what} fit in max_length={self.train.max_length}"]
        parts += [f"{_percent(validation)} of them are for validation"] if validation else []
        parts += [f"{_percent(held / (num + held))} of all rows are rehearsal"] if held else []
        total = sum(len(text.ids) for text in seen)
        return [
            self._share("rows", f"{_percent(share)} are learnt: {', '.join(parts)}"),
            self._share("tokens", f"{_percent(learnt / total)} of the tokens of their rows are learnt"),
        ]

    def _share(self, what: str, found: str) -> Finding:
        return Finding(section=_SECTION, what=f"{self.key}, {what}", found=found)

    def _marked(self, what: str, text: "TokenisedText", role: Role) -> Finding:
        before, learnt = (
            printable(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
            for ids in (text.ids[: text.learnt_from], text.ids[text.learnt_from :])
        )
        found = f"{before}{_OPEN}{learnt}{_CLOSE}" if learnt else before
        fits = role is Role.HOLD or len(text.ids) <= self.train.max_length
        return Finding(
            section=_SECTION,
            what=f"{what}, {text.what}, {len(text.ids)} tokens",
            found=found,
            ok=fits,
            remedy=""
            if fits
            else f"a row longer than {self.key}.max_length={self.train.max_length} is left out",
            marked=((len(before), len(found)),) if learnt else (),
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
