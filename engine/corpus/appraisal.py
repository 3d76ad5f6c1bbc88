"""What a judge says of examples: how good each reply is, and whether it may be learnt at all.

It is asked last, of what everything else leaves, since each example is a request. What it answers is kept in
the curated directory, so that nothing is asked, or paid for, twice.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from configs.curation import Curation
from configs.judging import Asked
from engine.corpus.shelf import Shelf
from engine.corpus.together import Appraised
from engine.corpus.workers import CurationLost
from engine.judge.completions import REFUSED, Completion, JudgeError
from engine.judge.endpoint import Endpoint, JudgeLost, key_of
from engine.judge.pairwise import end_of
from engine.measure.evaluate import TooManyUndecided
from engine.records import Turn
from engine.tasks.examples import Example
from engine.terminal import counted

log = logging.getLogger(__name__)

PROMPT = Path(__file__).with_name("appraisal.txt")
_HARMFUL = 0
_MARKS = {"[[harmful]]": _HARMFUL} | {f"[[{score}]]": score for score in range(1, 6)}
"""The last line of a judge's reply, with the score that it stands for."""
_FIELD = re.compile(r"\{(asked|reply|mark)\}")
_NEEDED = ("{asked}", "{reply}")
_NOT_WHOLE = frozenset({"length", "content_filter", REFUSED})
_BATCH = 2_000
"""Examples that are read at a time."""


class Appraiser:
    """A judge that looks at examples one by one."""

    def __init__(self, settings: Curation, endpoint: Endpoint) -> None:
        """Raises JudgeError for a prompt that lacks something."""
        assert settings.judge is not None, "there is a judge to ask"
        self._settings, self._endpoint = settings, endpoint
        self._most_without = settings.judge.max_undecided
        self._template = _prompt_in(settings.judge)

    def __call__(self, shelf: Shelf, ranks: Sequence[int]) -> Appraised:
        """Look at the examples of these ranks.

        Raises TooManyUndecided where the judge gives too few verdicts, CurationLost where it does not answer,
        and what else `Endpoint.ask` raises.
        """
        out: dict[int, tuple[str, str]] = {}
        without: list[str] = []
        for start in range(0, len(ranks), _BATCH):
            batch = ranks[start : start + _BATCH]
            try:
                said = self._endpoint.ask([self._asked(shelf[rank]) for rank in batch])
            except JudgeLost as error:
                raise CurationLost(str(error).replace("`ratchet resume`", "the same command")) from None
            for rank, completion in zip(batch, said, strict=True):
                score = _score_in(completion)
                if score is None:
                    without.append(completion.text)
                elif found := self._fault(score, completion):
                    out[rank] = found
        if len(without) > self._most_without * len(ranks):
            raise TooManyUndecided(
                f"the judge {self._endpoint.name} gave no verdict on {len(without)} of "
                f"{counted(len(ranks), 'example')}, such as {end_of(without[0])!r}; a verdict is a last line "
                f"that is one of {', '.join(_MARKS)}, and judge.max_undecided is {self._most_without}"
            )
        spent = self._endpoint.spent
        cost = "" if spent.cost is None else f", at a cost of {spent.cost:.4g}"
        tokens = counted(spent.num_prompt_tokens + spent.num_tokens, "token")
        name, num = self._endpoint.name, spent.num_requests
        log.info("The judge %s has answered %d times: %s%s", name, num, tokens, cost)
        return Appraised(out, len(without))

    def _asked(self, example: Example) -> tuple[Turn, ...]:
        """What is asked of an example; of a pair, of the side that is preferred."""
        turns = [turn for turn in example.chat if turn.role != "system"]
        said = [f"{each.role}: {each.text}" for each in turns]
        asked = turns[0].text if len(turns) == 1 else "\n\n".join(said)
        texts = {"asked": asked, "reply": example.chosen}
        # A hash of the texts that it stands around, so that no text can hold its own mark.
        digest = hashlib.sha256("\0".join(texts.values()).encode()).hexdigest()
        fields = {**texts, "mark": f"text-{digest[:12]}"}
        return (Turn(role="user", text=_FIELD.sub(lambda field: fields[field[1]], self._template)),)

    def _fault(self, score: int, completion: Completion) -> tuple[str, str] | None:
        """Why an example with this score is left out; None where it stays."""
        why = f"{completion.model} says: {end_of(completion.text, 200)}"
        if score == _HARMFUL and self._settings.harm.judged:
            return "judged_harmful", why
        least = self._settings.quality.least_score
        if least is not None and score < least:
            return "low_score", f"{why}; quality.least_score is {least}"
        return None


def _score_in(completion: Completion) -> int | None:
    """The verdict in a judge's reply, which is its whole last line; None where there is none."""
    if completion.finish in _NOT_WHOLE:
        return None
    return _MARKS.get(completion.text.rstrip().split("\n")[-1].strip())


@contextmanager
def open_appraiser(settings: Curation, kept: Path) -> Iterator[Appraiser]:
    """Make the judge of some settings ready; `kept` is the file of its answers. Nothing is asked yet.

    Raises JudgeError.
    """
    assert settings.judge is not None, "there is a judge to ask"
    with Endpoint(settings.judge, kept) as endpoint:
        yield Appraiser(settings, endpoint)


def require_usable(judge: Asked) -> None:
    """Refuse a judge that could not be asked once all else is done. Raises JudgeError."""
    key_of(judge)
    _prompt_in(judge)


def _prompt_in(judge: Asked) -> str:
    """The text of the prompt. Raises JudgeError where it lacks a field or does not say what a verdict is."""
    file = Path(judge.prompt) if judge.prompt else PROMPT
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise JudgeError(f"judge.prompt {file} cannot be read: {reason}") from None
    if lacks := [each for each in (*_NEEDED, *_MARKS) if each not in text]:
        raise JudgeError(
            f"judge.prompt {file} lacks {', '.join(lacks)}: a prompt has {', '.join(_NEEDED)}, and asks for "
            f"a last line that is one of {', '.join(_MARKS)}"
        )
    return text
