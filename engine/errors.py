"""The errors that people see, as one tree.

    RatchetError
    ├── Mistake
    │   ├── ConfigError             configs.load
    │   ├── PluginError             engine.plugins
    │   ├── RowError                engine.disk.jsonl
    │   ├── StorageError            engine.disk.storage
    │   ├── LocateError             engine.disk.home
    │   ├── RunError                engine.disk.steps
    │   │   └── RunHeld             engine.disk.steps
    │   ├── GymError                engine.gym.package
    │   ├── EngineError             engine.sample.starting
    │   ├── ModelError              engine.models.identity
    │   ├── DataError               engine.tasks.suite
    │   │   └── NotPosed            engine.tasks.suite
    │   ├── VerifierError           engine.verify.pool
    │   ├── ProofFileError          engine.verify.proof_file
    │   ├── RegistryError           engine.registry.store
    │   │   ├── LedgerUsedUp        engine.registry.ledger
    │   │   └── StaleEpoch          engine.registry.registry
    │   ├── PlanError               engine.plan.needs
    │   ├── ReportError             engine.report.data
    │   ├── CompareError            engine.gate.outcomes
    │   ├── CurationError           engine.corpus.stations
    │   ├── JudgeError              engine.judge.completions
    │   ├── RatingError             engine.judge.rating
    │   ├── ExportError             engine.export.exported
    │   ├── BenchmarkError          engine.benchmark.package
    │   ├── AskedError              engine.prove.question
    │   ├── ForecastError           engine.preflight.forecast
    │   ├── PowerError              engine.preflight.power
    │   ├── SpaceError              tune.space
    │   ├── NoSweep                 tune.plan
    │   ├── TooFewTokens            tune.budget
    │   ├── DashboardError          tune.dashboard
    │   ├── EmbeddingsError         serve.embedder
    │   ├── FilterError             serve.filters
    │   ├── KeysError               serve.keys
    │   ├── ParserError             serve.parsers
    │   ├── ServeError              serve.app
    │   ├── ConnectError            cluster.connect
    │   ├── OrderError              cluster.order
    │   └── SubmitError             cluster.submit
    ├── Lost
    │   ├── SamplerError            engine.sample.protocol
    │   ├── EngineKilled            engine.sample.starting
    │   ├── Untrained               loops.training
    │   ├── Unjudged                engine.measure.evaluate
    │   │   ├── TooManyUndecided    engine.measure.evaluate
    │   │   ├── VerifierFault       engine.measure.evaluate
    │   │   └── OverBudget          engine.judge.endpoint
    │   ├── StatesLost              engine.predict.states
    │   ├── CurationLost            engine.corpus.workers
    │   ├── JudgeLost               engine.judge.endpoint
    │   ├── NotAnswered             engine.benchmark.served
    │   ├── SweepError              tune.search
    │   ├── ExperimentError         tune.ground
    │   ├── TrainingLost            tune.trial
    │   └── SlotsError              serve.slots
    └── Broken
        └── GateError               engine.gate.arithmetic

A `Mistake` or a `Lost` becomes one sentence; a `Broken` keeps its traceback; `ratchet.py` turns each into its
exit code. `Unjudged` rarely gets that far: a campaign records it as the end of the round. What is tried again
before anything becomes a sentence is in `engine/failures.py`.

Exceptions outside this tree stay inside their room: `NotationError`, `Misapplied`, `Unreadable`, `_Refused`
and `_Refuted` become the reason of a verdict, `LineError`, `NotARecord` and `Unfit` the fault of a line,
`Unlabelled` and `NoOneWorld` of a label, `Stopped` and `Ended` of a training, after `NoSentence` and `GaveUp`
another problem is made, `StatsError` reports a bug, `RequestError` and `Unserved` become HTTP answers, after
`Unservable` and `NotNow` the server keeps its model, and after `Unproven` an engine is started anew.
"""

import errno
from pathlib import Path


class RatchetError(Exception):
    """An error that Ratchet raises on purpose."""


class Mistake(RatchetError, ValueError):
    """A user asked for something that cannot be done: one sentence, exit code 2."""


class Lost(RatchetError, RuntimeError):
    """Work or a part of the system was lost, and the run can be resumed: one sentence, exit code 2."""


class Broken(RatchetError, RuntimeError):
    """An integrity check failed: a traceback and exit code 70, because no user's input explains it."""


BROKEN = "an integrity check failed; this is not a mistake of yours: please report it with the lines above"
"""What people read below the traceback of a `Broken`."""
_UNUSABLE = {errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS}
"""The operating system's errors when RATCHET_HOME is a file or is not writable."""


_INNER = ("cause", "health_check_failure", "_base_exc")
"""Attributes in which Ray, and Ray Train, keep what a worker raised or why it is lost."""


def cause_of(error: Exception) -> Exception:
    """The error itself, or the one that a Ray worker raised where Ray has wrapped it with a traceback."""
    inner: Exception | None = error
    while inner is not None:
        error = inner
        found = (getattr(error, name, None) for name in _INNER)
        inner = next((each for each in found if isinstance(each, Exception)), None)
    return error


def last_line(error: BaseException) -> str:
    """What an error says in its last line, where Ray's have their reason; its class where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


def sentence_of(error: Exception, home: Path) -> str | None:
    """One sentence for a mistake, a loss or a disk that refuses; None for a bug or a broken promise.

    `home` is RATCHET_HOME as an absolute path.
    """
    error = cause_of(error)
    if isinstance(error, OSError):
        return _sentence_of_disk(error, home)
    return str(error) if isinstance(error, Mistake | Lost) else None


def _sentence_of_disk(error: OSError, home: Path) -> str | None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: {error.filename or 'a file'} could not be written"
    if not error.filename:
        return None
    if error.errno == errno.ENAMETOOLONG:
        return f"the name is too long for a file: {error.filename}"
    if error.errno in _UNUSABLE and Path(error.filename).absolute().is_relative_to(home):
        return f"RATCHET_HOME {home} cannot be used: {error.filename}: {error.strerror}"
    return None
