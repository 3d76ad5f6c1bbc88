"""The model that answers, and how it is asked: as it was asked when it was trained.

Without a name the model is the champion of a line that was trained on the question's task, the newest of
them. A model of the registry knows the system message of its training, and its run how long its answers are.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from configs.asking import Asking
from configs.load import load
from configs.schema import Config, Sampler
from engine.measure.asking import asking_of_model
from engine.models.prompts import messages, prompt_ids, tokenizer_of
from engine.models.suitable import require_room
from engine.prove.question import AskedError
from engine.prove.styles import Posed, names_of
from engine.records import Turn
from engine.registry.lines import EventKind, Line
from engine.registry.locate import model_dir_of
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from engine.tasks import load_task

_LENGTHS = Sampler(max_model_len=2048, max_new_tokens=512)
"""For a model of which no run is on record."""
_REIGNS = {EventKind.PROMOTED, EventKind.BASELINE, EventKind.ROLLED_BACK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """A model, and the settings by which it is asked."""

    name: str
    """As it was asked for; a line where that was chosen."""
    path: Path
    asking: Asking
    system: str | None
    """System message of every prompt; None: the one that the model knows, or else the task's own."""


def campaign_of(task: str | None) -> Config | None:
    """The campaign's config that ``--task`` names; None where it names a task, or nothing."""
    return load(task) if task and Path(task).suffix in (".yaml", ".yml") else None


def model_for(home: Path, name: str | None, campaign: Config | None, posed: Sequence[Posed]) -> Answering:
    """The model by name, else the champion of the campaign's line, else of the newest line that fits.

    Raises AskedError where there is no such line, and what `model_dir_of` raises for a name.
    """
    registry = Registry(home)
    if name is None and campaign and registry.line(campaign.line).champion:
        name = campaign.line
    if name is None:
        name = _newest(home, [{task.name for task in each.tasks} for each in posed])
    path = model_dir_of(home, name)
    if campaign:
        own = load_task(campaign.task.name).system
        system = own if campaign.system is None else campaign.system
        return Answering(name=name, path=path, asking=Asking.as_in(campaign), system=system)
    asking = asking_of_model(home, path.name) if registry.holds(path) else None
    return Answering(name=name, path=path, asking=asking or Asking(sampler=_LENGTHS), system=None)


def _newest(home: Path, wanted: Sequence[Set[str]]) -> str:
    """The line whose champion was trained on a task of each set, and came last."""
    registry = Registry(home)
    lines = [line for line in registry.lines() if line.champion]
    fitting = [line for line in lines if all(trained_on(home, line) & names for names in wanted)]
    if not fitting:
        tasks = " and ".join(sorted({" or ".join(sorted(names)) for names in wanted}))
        named = ", ".join(line.name for line in lines)
        there_are = f"the lines with a champion are {named}" if lines else "no line has a champion yet"
        raise AskedError(
            f"no champion here was trained on {tasks}: --model names another model, such as `embedded`; "
            f"{there_are}"
        )

    def since(line: Line) -> str:
        history = registry.history(line.name)
        return max((event.time for event in history if event.kind in _REIGNS), default="")

    return max(fitting, key=since).name


def trained_on(home: Path, line: Line) -> set[str]:
    """The tasks of a line's champion, as its run says, or the line's name where that run is gone."""
    assert line.champion, "only a champion was trained"
    asking = asking_of_model(home, line.champion)
    return set(names_of(asking.task)) if asking else {line.name.partition("/")[0]}


def system_for(home: Path, model: str, posed: Posed) -> str:
    """The system message that a model of the registry was trained with; the task's own for any other."""
    try:
        example = Registry(home).manifest(model).example
    except RegistryError:
        example = None
    return example.system if example else posed.tasks[0].system


def chat_for(home: Path, answering: Answering, posed: Posed) -> tuple[Turn, ...]:
    """The prompt of a question, as the model was trained on such."""
    system = answering.system
    if system is None:
        system = system_for(home, answering.path.name, posed)
    return messages(system, posed.problem.turns)


def room_for(answering: Answering, chats: Sequence[Sequence[Turn]]) -> Asking:
    """The settings, with room for the longest prompt and a reply.

    Raises engine.models.identity.ModelError where the model's context is shorter.
    """
    sampler, tokenizer = answering.asking.sampler, tokenizer_of(answering.path)
    longest = max(len(prompt_ids(tokenizer, chat)) for chat in chats)
    needed = longest + sampler.max_new_tokens
    require_room(answering.path, needed, f"a prompt of {longest} tokens with its reply")
    roomy = sampler.model_copy(update={"max_model_len": max(needed, sampler.max_model_len)})
    return answering.asking.model_copy(update={"sampler": roomy})
