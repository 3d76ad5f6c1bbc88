"""Which of two replies a judge prefers: each pair is asked in both orders, and only a whole verdict counts.

    judge = PairwiseJudge(settings, endpoint)
    preferences = judge.prefer([Contest(id="q1", asked="What is 2 + 2?", old="5", new="4")])

The verdict is the last line of the judge's reply, which must be one of `MARKS` and nothing else. Any other
reply is no verdict, and never a win. A reply is preferred where the judge prefers it in both orders; else the
two are tied (Zheng et al. 2023, MT-Bench). The prompt is in `pairwise.txt`.
"""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from configs.judging import Judge as Settings
from engine.judge.completions import REFUSED, Completion, JudgeError
from engine.judge.endpoint import Endpoint
from engine.measure.evaluate import TooManyUndecided
from engine.records import Answer, Duel, Turn
from engine.terminal import counted

PROMPT = Path(__file__).with_name("pairwise.txt")
_FIELD = re.compile(r"\{(asked|first|second|mark)\}")
_NEEDED = ("{asked}", "{first}", "{second}")
"""Fields that a prompt must have."""
_NOT_WHOLE = frozenset({"length", "content_filter", REFUSED})
"""How a reply ends that is not all that the judge had to say."""


class Choice(StrEnum):
    """What a judge says of two replies as they are shown to it."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"
    NONE = "none"
    """It gives no verdict."""


class Outcome(StrEnum):
    """What the two orders of a pair amount to, for the new reply."""

    WON = "won"
    LOST = "lost"
    TIED = "tied"
    NONE = "none"


MARKS = {"[[1]]": Choice.FIRST, "[[2]]": Choice.SECOND, "[[tie]]": Choice.TIE}
"""The last line of a judge's reply, with what it means."""
_PLACES = {Choice.FIRST: 1, Choice.SECOND: -1}
"""For the place that a choice speaks for: 1 is shown first. The other choices speak for neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Two replies to one request."""

    id: str
    asked: str
    old: str
    new: str
    story: str = ""
    """Contests of one story are not independent; empty where each stands for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What a judge says of one contest."""

    id: str
    story: str
    choices: tuple[Choice, Choice]
    """With the old reply shown first, and with the new one first."""
    replies: tuple[str, str]
    """The judge's own, in the same order; empty where both replies are the same, and it was not asked."""
    lengths: tuple[int, int]
    """Characters of the old reply and of the new one."""
    models: tuple[str, str]
    """The models that judged, as their endpoint names them; empty where none was asked."""

    @property
    def was_asked(self) -> bool:
        return any(self.models)

    @property
    def places(self) -> tuple[int, int]:
        """For each order 1 where the reply shown first is preferred, -1 where the second one is, else 0."""
        old_first, new_first = (_PLACES.get(choice, 0) for choice in self.choices)
        return old_first, new_first

    @property
    def outcome(self) -> Outcome:
        if Choice.NONE in self.choices:
            return Outcome.NONE
        old_first, new_first = self.places
        return {2: Outcome.WON, -2: Outcome.LOST}.get(new_first - old_first, Outcome.TIED)

    @property
    def reply(self) -> str:
        """The reply of the judge that tells most: the first one without a verdict, else the second one."""
        return self.replies[self.choices.index(Choice.NONE) if Choice.NONE in self.choices else 1]

    @property
    def cluster(self) -> str:
        """What it is not independent of: its story, or itself."""
        return f"story {self.story}" if self.story else f"item {self.id}"


class PairwiseJudge:
    """A judge that compares replies two by two."""

    def __init__(
        self, settings: Settings, endpoint: Endpoint, *, own: Collection[str] = (), system: str = ""
    ) -> None:
        """`own` are ids of models that may not judge, `system` is the system message that the replies obey.

        Raises JudgeError for a prompt that lacks something, and where the model named is one of `own`.
        """
        self._settings, self.endpoint, self._system = settings, endpoint, system
        self._template = prompt_in(settings)
        self._own = frozenset(own)
        self._require_other({settings.model})

    def prefer(self, contests: Sequence[Contest], *, rivals: Collection[str] = ()) -> list[Preference]:
        """The judge's preference on each contest, in order; what it has said before is not asked again.

        `rivals` are the ids of the models whose replies these are, none of which may judge.
        Raises JudgeError where the judge is a model of the line on trial, TooManyUndecided where it gives too
        few verdicts, and what `Endpoint.ask` raises.
        """
        chats = [self._chat(each, *shown) for each in contests if _differ(each) for shown in _orders(each)]
        given = iter(self.endpoint.ask(chats))
        preferences = [
            _preference(each, (next(given), next(given)) if _differ(each) else None) for each in contests
        ]
        self._require_other({model for each in preferences for model in each.models}, rivals)
        self._require_verdicts(preferences)
        return preferences

    def _chat(self, contest: Contest, first: str, second: str) -> tuple[Turn, ...]:
        asked = f"{self._system}\n\n{contest.asked}" if self._system else contest.asked
        return (Turn(role="user", text=prompt_of(self._template, asked, first, second)),)

    def _require_other(self, models: Collection[str], rivals: Collection[str] = ()) -> None:
        if not self._settings.own_line and (found := self._own.union(rivals).intersection(models)):
            raise JudgeError(
                f"the judge {self.endpoint.name} is the model {min(found)} of the line on trial, which may "
                f"not judge itself: name another model, or set judge.own_line"
            )

    def _require_verdicts(self, preferences: Sequence[Preference]) -> None:
        without = [each for each in preferences if each.outcome is Outcome.NONE]
        if len(without) > self._settings.max_undecided * len(preferences):
            raise TooManyUndecided(
                f"the judge {self.endpoint.name} gave no verdict on {len(without)} of "
                f"{counted(len(preferences), 'pair')}, such as {end_of(without[0].reply)!r}; a verdict is a "
                f"last line that is one of {', '.join(MARKS)}, and allowed without one is a share of "
                f"{self._settings.max_undecided}"
            )


def _differ(contest: Contest) -> bool:
    return contest.old.strip() != contest.new.strip()


def _orders(contest: Contest) -> tuple[tuple[str, str], tuple[str, str]]:
    """What is shown first and second: the old reply first, then the new one first."""
    return (contest.old, contest.new), (contest.new, contest.old)


def _preference(contest: Contest, said: tuple[Completion, Completion] | None) -> Preference:
    """What was said of a contest; None where its replies are the same, which is a tie that needs no judge."""
    return Preference(
        id=contest.id,
        story=contest.story,
        choices=(choice_in(said[0]), choice_in(said[1])) if said else (Choice.TIE, Choice.TIE),
        replies=(said[0].text, said[1].text) if said else ("", ""),
        lengths=(len(contest.old), len(contest.new)),
        models=(said[0].model, said[1].model) if said else ("", ""),
    )


def choice_in(completion: Completion) -> Choice:
    """The verdict in a judge's reply: its whole last line, or none."""
    lines = completion.text.rstrip().split("\n")
    if completion.finish in _NOT_WHOLE:
        return Choice.NONE
    return MARKS.get(lines[-1].strip(), Choice.NONE)


def prompt_in(settings: Settings) -> str:
    """The text of the prompt that the settings name. Raises JudgeError as `read_prompt` does."""
    return read_prompt(Path(settings.prompt) if settings.prompt else PROMPT)


def read_prompt(file: Path) -> str:
    """The text of a prompt. Raises JudgeError where it lacks a field or does not say what a verdict is."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise JudgeError(f"judge.prompt {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise JudgeError(f"judge.prompt {file} cannot be read: {error}") from None
    if lacks := [each for each in (*_NEEDED, *MARKS) if each not in text]:
        raise JudgeError(
            f"judge.prompt {file} lacks {', '.join(lacks)}: a prompt has {', '.join(_NEEDED)}, and asks for "
            f"a last line that is one of {', '.join(MARKS)}"
        )
    return text


def prompt_of(template: str, asked: str, first: str, second: str) -> str:
    """The prompt for two replies in this order.

    Its mark is a hash of the texts that it stands around, so no text can hold its own and speak past it.
    """
    texts = {"asked": asked, "first": first, "second": second}
    digest = hashlib.sha256("\0".join(texts.values()).encode(errors="surrogatepass")).hexdigest()
    fields = {**texts, "mark": f"text-{digest[:12]}"}
    # In one pass: what a text holds in braces stays as it is.
    return _FIELD.sub(lambda field: fields[field[1]], template)


def contest_of(duel: Duel) -> Contest:
    """Champion's and challenger's replies to one problem; in a dialogue each with the turn it belongs to."""
    old, new = sides_of(duel)
    return Contest(
        id=duel.problem.id,
        asked=joined("Turn", duel.problem.turns),
        old=joined("Reply to turn", old.attempt.replies),
        new=joined("Reply to turn", new.attempt.replies),
        story=duel.problem.story,
    )


def sides_of(duel: Duel) -> tuple[Answer, Answer]:
    """The champion's and the challenger's answer; likelihoods of passages cannot be judged."""
    assert isinstance(duel.champion, Answer) and isinstance(duel.challenger, Answer), (
        "a judge compares replies"
    )
    return duel.champion, duel.challenger


def joined(what: str, texts: Sequence[str]) -> str:
    """One text as it stands, and several with their numbers."""
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"{what} {number}:\n{text}" for number, text in enumerate(texts, start=1))


def end_of(text: str, most: int = 80) -> str:
    """The end of a judge's reply, in one line."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"…{text[1 - most :]}"
