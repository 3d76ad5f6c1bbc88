"""How models are asked: as a task, a campaign's config or a model's own run says, changed by options."""

from collections.abc import Mapping
from pathlib import Path

from configs.asking import Asking
from configs.load import ConfigError, load, validate
from engine.earlier import begun_by_earlier, config_of
from engine.plan.machine import Machine
from engine.plan.plan import Plan, plan_sampling
from engine.registry.registry import Registry
from engine.tasks import load_task


def asking_of(task: str) -> Asking:
    """The settings that `--task` names: those of a campaign's config, or a task with every default.

    Raises engine.tasks.DataError for an unknown task, and ConfigError for a YAML file that is no campaign's
    config, and for a task that has settings without a default.
    """
    if Path(task).suffix in (".yaml", ".yml"):
        return Asking.as_in(load(task))
    load_task(task)  # Its message names the tasks that there are.
    try:
        return validate(Asking, {"task": {"name": task}}, f"--task {task}")
    except ConfigError as error:
        raise ConfigError(
            f"{error}; write `--task configs/{task}.yaml`, or a config of your own that sets it"
        ) from None


def asking_of_model(home: Path, model: str) -> Asking | None:
    """The settings of the newest run on record that judged a model; None where no such run is left.

    A run of a version whose settings were others does not count. Raises ConfigError for a run whose config
    cannot be read.
    """
    registry = Registry(home)
    events = [event for line in registry.lines() for event in registry.history(line.name)]
    judging = sorted((event for event in events if event.model_id == model), key=lambda event: event.time)
    for event in reversed(judging):
        run = home / "runs" / event.run_id
        if event.run_id and (run / "config.yaml").is_file() and not begun_by_earlier(run):
            return Asking.as_in(config_of(run))
    return None


def with_options(asking: Asking, options: Mapping[str, int | str | None], *, generates: bool) -> Asking:
    """The settings with the options of the command line over them; None where one is not given.

    `generates` is whether models answer the task's problems. Raises ConfigError for an option without effect,
    and for options that leave no room for a problem.
    """
    given = {option: value for option, value in options.items() if value is not None}
    if given and not generates:
        name = asking.task.name
        raise ConfigError(f"task {name} has passages, which no model answers: {min(given)} has no effect")
    tree = asking.model_dump(mode="json")
    for option, value in given.items():
        key = option.strip("-").replace("-", "_")
        (tree["sampler"] if key in tree["sampler"] else tree)[key] = value
    asking = validate(Asking, tree, "eval")
    room, new = asking.sampler.max_model_len, asking.sampler.max_new_tokens
    # A shot takes a token at the least; how many it takes is known only where the model is.
    for option, used in (("--max-new-tokens", new), ("--shots", new + asking.shots)):
        if used >= room:
            raise ConfigError(
                f"{option} must leave room for the problem in {room} tokens, got {options[option]}"
                f"{f' and answers of up to {new} tokens' if option == '--shots' else ''}"
            )
    return asking


def plans_for(asking: Asking, models: Mapping[str, Path], machine: Machine, home: Path) -> dict[str, Plan]:
    """Where the samplers of each model run, by its name. Raises engine.plan.needs.PlanError."""
    return {
        name: plan_sampling(asking.sampler, asking.resources, str(path), machine, home)
        for name, path in models.items()
    }
