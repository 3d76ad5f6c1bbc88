"""Checks a new run before it writes anything: all that `ratchet doctor` checks, and the state of its line."""

from pathlib import Path

from configs.schema import Config
from engine.gate.preference import require_judge
from engine.judge.adviser import require_usable
from engine.models.quantised import require_quantiser
from engine.preflight.blocks import require_records, require_told
from engine.preflight.doctor import require_parts
from engine.preflight.learnt import require_learnt
from engine.preflight.power import require_guards, require_power
from engine.registry.lived import lived_before
from engine.registry.registry import Registry
from engine.tasks.suite import kept_apart
from loops import loop_for


def planned_tests(config: Config, registry: Registry) -> int:
    """Tests that the campaign's ledger is planned for.

    As the config says; else as the line's ledger is, where the campaign continues it; else as many as the
    campaign can come to.
    """
    ledger = registry.line(config.line).ledger
    planned = config.gate.planned_tests
    if ledger and ledger.num_left > 0 and config.budget == "continue" and planned is None:
        return ledger.planned_tests
    return config.num_tests


def require_ready(config: Config, home: Path, run_id: str) -> None:
    """Refuse a new run for what would end it later.

    Raises DataError, PluginError and ConfigError as `loop_for` and `require_parts`, DataError where the
    records of a finite task, or what a day tells, do not suffice, or a judge is missing, JudgeError and
    RowError for a judge that cannot be used, ConfigError where a training would learn nothing, PowerError for
    sentinels and guards without power, ModelError where a base cannot be quantised here, and RegistryError
    for a line without a champion to start from or a ledger that the run cannot spend from.
    """
    suite = require_parts(config)
    require_quantisers(config)
    require_judge(suite.task, config.gate)
    if config.gate.judge:
        require_usable(config.gate.judge)
    loop = loop_for(config)
    require_records(config, suite, home, run_id)
    require_power(config.gate.sentinels, kept_apart(suite))
    days = lived_before(home, config).days
    require_told(config, suite, days)
    require_guards(config, suite, days)
    require_champion(config, home)
    registry, gate = Registry(home), config.gate
    registry.check_ledger(
        config.line,
        alpha=gate.alpha,
        planned_tests=planned_tests(config, registry),
        run_id=run_id,
        fresh=config.budget == "new",
    )
    require_learnt(config, home, loop.example)


def require_quantisers(config: Config) -> None:
    """Refuse a training whose base cannot be quantised here. Raises ModelError."""
    for train in config.trains.values():
        if train.quantize:
            require_quantiser(train.quantize)


def require_champion(config: Config, home: Path) -> None:
    """Refuse a config that starts from a champion which is not there. Raises RegistryError."""
    if config.start == "champion":
        registry = Registry(home)
        registry.path(registry.champion(config.line))
