"""The registry: which model is champion of a line, how it got there, and the error budget it spends.

    registry/models/<id>/                 immutable models (`store.py`)
    registry/lines/<a>/<b>/line.json      champion, working model, ledgers and a rising epoch (`lines.py`)
    registry/lines/<a>/<b>/history.jsonl  the line's events

Writers hold one file lock, briefly except while a model is copied; readers need none. Every change is
idempotent for its run and round, so a resumed run may repeat it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from engine.disk.files import locked
from engine.records import Decision
from engine.registry.budget import committed, ledger_for, ledger_of, require_shown, settled, with_ledger
from engine.registry.ledger import CommittedTest, Ledger, committed_in
from engine.registry.lines import Event, EventKind, Line, Lines, State, outside
from engine.registry.moves import already_made, carried, crowned, last_judged, returned, rolled_back
from engine.registry.store import Manifest, RegistryError, Store, StoredModel


class StaleEpoch(RegistryError):
    """The line's champion has changed since the caller looked."""


class Registry:
    """Models and lines under `home`/registry, which the first change creates."""

    def __init__(self, home: Path) -> None:
        self._root = home / "registry"
        self._store = Store(self._root)
        self._lines = Lines(self._root)

    def line(self, name: str) -> Line:
        """Return a line as it stands; a line that nobody has used has epoch 0 and no champion."""
        return outside(name, self._lines.state(name))

    def lines(self) -> tuple[Line, ...]:
        """List all lines that have been used."""
        return tuple(self.line(name) for name in self._lines.names())

    def used_line(self, name: str) -> Line:
        """Return a line that has been used. Raises RegistryError for any other, listing them."""
        return outside(name, self._lines.used(name))

    def champion(self, name: str) -> str:
        """Return the id of the line's champion, to start from. Raises RegistryError if there is none."""
        champion = self.line(name).champion
        if champion is None:
            raise RegistryError(f"line {name} has no champion to start from; set start=base")
        return champion

    def history(self, name: str) -> tuple[Event, ...]:
        """List all events of a line, oldest first."""
        return self._lines.history(name)

    def models(self) -> tuple[StoredModel, ...]:
        """List all models, including those whose weights were freed."""
        lines = self.lines()
        return tuple(self._stored(model_id, lines) for model_id in self._store.ids())

    def lineage(self, model_id: str) -> tuple[Manifest, ...]:
        """List the manifests of a model and its ancestors, the model first, as far as they are stored."""
        return self._store.lineage(model_id)

    def manifest(self, model_id: str) -> Manifest:
        """Return the manifest of a model, also of one whose weights were freed. Raises RegistryError."""
        return self._store.manifest(model_id)

    def place(self, model_id: str) -> Path:
        """Return where a model is kept, whether or not its weights are there."""
        return self._store.path(model_id)

    def holds(self, model_dir: Path) -> bool:
        """Whether a directory is that of a model of the registry."""
        return self._store.holds(model_dir)

    def path(self, model_id: str) -> Path:
        """Return the directory of a model that has all its files. Raises RegistryError for any other."""
        if not self._store.whole(model_id):
            self._store.manifest(model_id)
            raise RegistryError(f"model {model_id} has a manifest but lacks files: its weights were freed")
        return self._store.path(model_id)

    def verify(self, model_id: str) -> Manifest:
        """Check a model's files against its manifest. Raises RegistryError naming the file that differs."""
        return self._store.verify(model_id)

    def add(self, model_dir: Path, manifest: Manifest) -> Path:
        """Copy a finished model into the registry and return its directory there. Idempotent.

        Raises RegistryError for a directory that is not a model, or holds a kind of file that is not allowed.
        """
        with self._locked():
            return self._store.add(model_dir, manifest)

    def prune(self, line: str | None = None, keep: int = 0) -> tuple[StoredModel, ...]:
        """Free the weights of models judged in `line` (None: in any line) that no line points to.

        The `keep` most recently judged ones are spared. Models that were never judged are left alone, because
        their round may be running. Manifests and evidence stay. Returns the models that were freed.
        """
        if line:
            self._lines.used(line)
        with self._locked():
            names = [line] if line else self._lines.names()
            judged = last_judged(event for name in names for event in self.history(name))
            stored = {model.manifest.model_id: model for model in self.models()}
            newest_first = sorted(judged.keys() & stored.keys(), key=lambda each: (judged[each], each))[::-1]
            spare = [stored[each] for each in newest_first if not (stored[each].lines or stored[each].freed)]
            for model in spare[keep:]:
                self._store.free(model.manifest.model_id)
        return tuple(replace(model, freed=True) for model in spare[keep:])

    def open_ledger(self, line: str, *, alpha: float, planned_tests: int, run_id: str, fresh: bool) -> Ledger:
        """Return the ledger that `run_id` spends from: its own, else the line's newest, else a new one.

        A new one is opened if the line has none or `fresh` is set. Raises LedgerUsedUp if the newest ledger
        has no test left, RegistryError if it was planned differently.
        """
        with self._locked():
            state = self._lines.state(line)
            ledger, kind = ledger_for(
                line, state, alpha=alpha, planned_tests=planned_tests, run_id=run_id, fresh=fresh
            )
            if kind:
                reason = f"ledger {ledger.number}: alpha {ledger.alpha} over {ledger.planned_tests} tests"
                event = Event(kind=kind, run_id=run_id, reason=reason)
                self._lines.commit(line, with_ledger(state, ledger), event)
            return ledger

    def check_ledger(self, line: str, *, alpha: float, planned_tests: int, run_id: str, fresh: bool) -> None:
        """Raise whatever `open_ledger` would raise, but change nothing."""
        state = self._lines.state(line)
        ledger_for(line, state, alpha=alpha, planned_tests=planned_tests, run_id=run_id, fresh=fresh)

    def ledger_of(self, line: str, run_id: str) -> Ledger:
        """Return the ledger that a run spends from. Raises RegistryError if it has opened or joined none."""
        return ledger_of(line, self._lines.state(line), run_id)

    def commit_test(
        self, line: str, *, run_id: str, round: int, challenger_id: str, entropy: int | None = None
    ) -> CommittedTest:
        """Fix challenger, level and entropy of a gate test before its first problem is drawn.

        A test that is already committed for this run and round is returned as recorded. `entropy` pins the
        seed (tests); None draws it. Raises LedgerUsedUp if no test is left, RegistryError if the run has no
        ledger or the round was committed to another challenger.
        """
        with self._locked():
            before = self._lines.state(line)
            test, state = committed(
                line, before, run_id=run_id, round=round, challenger_id=challenger_id, entropy=entropy
            )
            if state is not before:
                kind, reason = EventKind.TEST_COMMITTED, f"level {test.level}, entropy {test.entropy}"
                event = Event(kind=kind, run_id=run_id, round=round, model_id=challenger_id, reason=reason)
                self._lines.commit(line, state, event)
            return test

    def settle_test(self, line: str, *, run_id: str, round: int, rejected_null: bool) -> Ledger:
        """Record whether superiority was shown. Idempotent; a test that is never settled counts as spent.

        Raises RegistryError if no such test was committed, or if it was settled the other way.
        """
        with self._locked():
            before = self._lines.state(line)
            ledger, state = settled(line, before, run_id=run_id, round=round, rejected_null=rejected_null)
            if state is not before:
                model_id = committed_in(ledger, run_id, round).challenger_id
                kind = EventKind.TEST_SETTLED
                reason = "superiority shown" if rejected_null else "superiority not shown"
                event = Event(kind=kind, run_id=run_id, round=round, model_id=model_id, reason=reason)
                self._lines.commit(line, state, event)
            return ledger

    def promote(
        self,
        line: str,
        model_id: str,
        *,
        run_id: str,
        round: int,
        expected_epoch: int,
        baseline: bool = False,
        decision: Decision | None = None,
    ) -> Line:
        """Make a stored model the line's champion; a `baseline` also becomes its frozen champion.

        Idempotent for a run and round. Raises StaleEpoch if the line is not at `expected_epoch`, and
        RegistryError if the model is incomplete, if the round ended differently, or if a model that is not a
        baseline has no baseline before it or no settled test that showed superiority.
        """
        kind = EventKind.BASELINE if baseline else EventKind.PROMOTED
        event = Event(kind=kind, run_id=run_id, round=round, model_id=model_id, decision=decision)

        def move(state: State) -> State:
            self.path(model_id)
            if not baseline:
                require_shown(line, state, event, round)
            return crowned(state, model_id, baseline=baseline)

        return self._move(line, event, expected_epoch, move)

    def carry(
        self, line: str, model_id: str, *, run_id: str, round: int, expected_epoch: int, decision: Decision
    ) -> Line:
        """Make a stored model the line's working model, from which the next round starts.

        It is neither served nor claimed. Idempotent for a run and round; raises as `promote` does.
        """
        event = Event(
            kind=EventKind.CARRIED, run_id=run_id, round=round, model_id=model_id, decision=decision
        )

        def move(state: State) -> State:
            self.path(model_id)
            return carried(line, state, model_id)

        return self._move(line, event, expected_epoch, move)

    def give_up(
        self, line: str, model_id: str, *, run_id: str, round: int, expected_epoch: int, reason: str
    ) -> Line:
        """Give up the line's working model: the next round starts from the champion.

        Idempotent for a run and round. Raises StaleEpoch as `promote` does.
        """
        event = Event(kind=EventKind.RETURNED, run_id=run_id, round=round, model_id=model_id, reason=reason)
        return self._move(line, event, expected_epoch, returned)

    def refuse(
        self,
        line: str,
        model_id: str,
        *,
        run_id: str,
        round: int,
        decision: Decision,
        kind: EventKind = EventKind.REFUSED,
    ) -> None:
        """Keep a refused, or DROPPED, model's evidence in the history. Idempotent for a run and round."""
        why = decision.reason
        event = Event(kind=kind, run_id=run_id, round=round, model_id=model_id, reason=why, decision=decision)
        with self._locked():
            if not already_made(line, self.history(line), event):
                self._lines.commit(line, self._lines.state(line), event)

    def rollback(self, line: str, reason: str) -> Line:
        """Make the previous champion (and its frozen one) the line's again, with the reason in the history.

        A working model is given up with it; on a line without a previous champion that is all. Raises
        RegistryError if there is nothing to go back to, or its weights were freed.
        """
        self._lines.used(line)
        with self._locked():
            state = rolled_back(line, self._lines.state(line))
            model_id = state.reigns[-1].model_id
            self.path(model_id)
            event = Event(kind=EventKind.ROLLED_BACK, model_id=model_id, reason=reason)
            return outside(line, self._lines.commit(line, state, event))

    def _move(self, line: str, event: Event, expected_epoch: int, move: Callable[[State], State]) -> Line:
        """Make a move of a run and round once. Raises StaleEpoch if the line is not at `expected_epoch`."""
        with self._locked():
            state = self._lines.state(line)
            if already_made(line, self.history(line), event):
                return outside(line, state)
            require_epoch(line, state, expected_epoch)
            return outside(line, self._lines.commit(line, move(state), event))

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self._root)

    def _stored(self, model_id: str, lines: tuple[Line, ...]) -> StoredModel:
        manifest = self._store.manifest(model_id)
        return StoredModel(
            manifest=manifest,
            num_bytes=sum(entry.size for entry in manifest.files),
            freed=not self._store.whole(model_id),
            lines=tuple(each.name for each in lines if model_id in each.models),
        )


def require_epoch(line: str, state: State, expected: int) -> None:
    if state.epoch != expected:
        raise StaleEpoch(
            f"line {line} is at epoch {state.epoch}, expected {expected}: another run or a rollback moved "
            f"its champion or working model"
        )
