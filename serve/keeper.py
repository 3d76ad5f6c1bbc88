"""The keeper follows the registry: it loads a new champion into the idle engine, tests it, and switches over.

    promotion -> check the candidate -> drain the idle engine, swap its weights in place, let it prove them
              -> ask it through the server's own HTTP path -> switch the alias; the old champion stays loaded

A rollback finds its version still loaded and needs only the last step. A candidate that fails a step is
refused with the reason, and the old version keeps answering. If the active engine is lost, the idle one loads
the champion in its place. Every decision is written to one file (`serve/slots.py`), so a keeper that restarts
continues where the last one stopped.
"""

import asyncio
import logging
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from configs.serving import Serving
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from serve.candidate import NotNow, Unservable, check
from serve.engine import engine_name
from serve.gateway import ask_all
from serve.slots import NAMES, Canary, Counts, Refusal, Slots, SlotsError, SlotsFile
from serve.smoke import ask

log = logging.getLogger("ray.serve")

_AGAIN = (Unservable, NotNow, RegistryError, SlotsError, RayError, RayServeException, OSError, TimeoutError)
"""Errors after which the keeper simply looks again."""
_MOST_LOST = 3
"""Times that an engine may be lost while it takes a version, before the version is refused."""
_CANARY_REQUESTS = 20
"""Requests that a canary must have answered before its failures count."""
_CANARY_FAILURES = 0.02
"""How far a canary's share of failed requests may exceed the old champion's before it is refused."""


class Keeper:
    """Follows one line of the registry; a server runs exactly one keeper."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        serving: Serving,
        home: str,
        engines: dict[str, DeploymentHandle],
        gateway: tuple[str, str],
        own: str,
    ) -> None:
        self._serving, self._home, self._engines, self._own = serving, Path(home), engines, own
        self._gateway_name = gateway
        self._registry = Registry(self._home)
        self._file = SlotsFile(self._home, serving.line, engines)
        self._lost = Counter[tuple[str, int]]()
        """How often an engine was lost while it took a version, by version and epoch."""
        self._lock = await self._file.acquire()
        self._file.drop_stale(self._registry)
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def check_health(self) -> None:
        if self._task.done():
            raise RuntimeError("the keeper has ended")

    async def _follow(self) -> None:
        while True:
            try:
                await self._look()
            except _AGAIN as error:
                log.warning("the keeper looks again: %s", error)
            await asyncio.sleep(self._serving.poll_seconds)

    async def _look(self) -> None:
        """Look at the registry once and act on it."""
        line = self._registry.line(self._serving.line)
        assert line.champion, "a server only starts for a line that has a champion"
        slots = self._file.read()
        if slots is None:
            await self._begin(line.champion, line.champion_epoch)
            return
        slots = await self._repaired(slots)
        if slots.canary:
            await self._judge_canary(slots, line.champion)
            return
        refusal = slots.refused.get(line.champion)
        is_refused = refusal is not None and refusal.epoch == line.champion_epoch
        is_settled = is_refused or line.champion == slots.champion
        if (slots.loading and is_settled) or (slots.holding and not slots.loading):
            # A swap was given up, and an engine or a keeper was lost before the old version answered again.
            assert slots.champion
            await self._take(slots.active, slots.champion)
            self._write(replace(slots, loading=None, holding=False))
        elif not is_settled:
            await self._swap(slots, line.champion, line.champion_epoch)

    async def _begin(self, champion: str, epoch: int) -> None:
        """Write the first state: every engine started with the champion, and the first slot answers."""
        names = NAMES[: self._serving.engines.resident]
        held = set(await self._broadcast(names[0], "version"))
        if len(held) != 1:
            # The line moved on while the engines started.
            await self._take(names[0], champion)
            held = {champion}
        (version,) = held
        versions: dict[str, str | None] = {**dict.fromkeys(names), names[0]: version}
        self._write(Slots(line=self._serving.line, epoch=epoch, active=names[0], versions=versions))
        log.info("version %s answers", version)

    async def _repaired(self, slots: Slots) -> Slots:
        """Repair what was lost since the last look, and return the slots as they are now.

        An engine that Serve restarted loads its slot's version again, and the idle engine stands in for an
        active one that is gone.
        """
        held = {slot: await self._held(slot) for slot, version in slots.versions.items() if version}
        lost = [slot for slot, versions in held.items() if versions != {slots.versions[slot]}]
        if not lost:
            return slots
        running = await asyncio.to_thread(self._running)
        idle = next((slot for slot in slots.versions if slot != slots.active), None)
        champion = slots.champion
        if champion and idle in running and slots.active not in running:
            previous = slots.versions[idle]
            if previous != champion:
                self._write(replace(slots, versions={**slots.versions, idle: None}, loading=champion))
                await self._take(idle, champion)
            slots = replace(
                slots,
                # A version that was only being tested there never answered, so it is not the previous one.
                versions={slots.active: None if slots.canary or slots.loading else previous, idle: champion},
                active=idle,
                loading=None,
                canary=None,
            )
            self._write(slots)
            log.warning("the engine of version %s was lost: the idle one answers in its place", champion)
        for slot in lost:
            version = slots.versions[slot]
            # A running engine that does not respond is busy; only one known to hold another version reloads.
            if version and slot in running and held[slot]:
                try:
                    await self._take(slot, version)
                except (Unservable, NotNow) as error:
                    log.warning("version %s cannot be loaded again: %s", version, error)
                    if slot != slots.active:
                        slots = replace(slots, versions={**slots.versions, slot: None})
                        self._write(slots)
        return slots

    async def _held(self, slot: str) -> set[str | None]:
        """Return the versions that a slot's replicas hold; empty if they are lost or do not respond."""
        try:
            return set(await self._broadcast(slot, "version", seconds=5))
        except (Unservable, RayError, RayServeException, TimeoutError):
            return set()

    def _running(self) -> set[str]:
        """Return the slots whose engine has a running replica."""
        from ray import serve

        deployments = serve.status().applications[self._gateway_name[1]].deployments
        found = {name: each.replica_states.get("RUNNING", 0) for name, each in deployments.items()}
        return {slot for slot in NAMES if found.get(engine_name(slot))}

    async def _swap(self, slots: Slots, version: str, epoch: int) -> None:
        began = time.monotonic()
        for slot, held in slots.versions.items():
            if held == version and slot != slots.active and version != slots.loading:
                # A rollback: the version is still loaded.
                self._write(_promoted(slots, slot, epoch))
                log.info("champion %s answers again", version)
                return
        idle = next((slot for slot in slots.versions if slot != slots.active), slots.active)
        alone = idle == slots.active
        if not await self._held(idle):
            log.warning("version %s waits for engine %s, which does not respond", version, idle)
            return
        try:
            await asyncio.to_thread(check, self._registry, version, slots.champion)
        except Unservable as error:
            # No engine has been touched yet.
            self._write(_refused(slots, version, error, epoch))
            return
        try:
            versions = slots.versions if alone else {**slots.versions, idle: None}
            loading = replace(slots, versions=versions, loading=version, holding=alone)
            self._write(loading)
            await self._take(idle, version)
            tried = replace(loading, versions={**loading.versions, idle: version})
            self._write(tried)
            await self._try(version)
        except Unservable as error:
            await self._give_up(_refused(slots, version, error, epoch), idle)
            return
        except NotNow as error:
            self._lost[version, epoch] += error.is_lost
            if self._lost[version, epoch] == _MOST_LOST:
                # Another try would only keep an engine from being there.
                reason = f"{_MOST_LOST} times {error}"
                await self._give_up(_refused(slots, version, reason, epoch), idle)
                return
            log.warning("version %s will be tried again: %s", version, error)
            await self._give_up(slots, idle)
            return
        if share := self._serving.canary:
            canary = Canary(slot=idle, share=share, since=time.time(), before=await self._counts())
            self._write(replace(tried, loading=None, canary=canary))
            log.info("version %s answers %.0f %% of the keys as a canary", version, 100 * share)
            return
        self._write(_promoted(tried, idle, epoch))
        log.info("champion %s answers after %.1f s", version, time.monotonic() - began)

    async def _give_up(self, before: Slots, idle: str) -> None:
        """Keep the old version, which a single engine loads again."""
        if idle != before.active:
            self._write(replace(before, versions={**before.versions, idle: None}))
            return
        assert before.champion
        # Written before the engine is asked: should it be lost, it starts with the old version, and what is
        # refused is not tried again.
        self._write(replace(before, loading=None, holding=True))
        await self._take(idle, before.champion)
        self._write(replace(before, loading=None, holding=False))

    async def _take(self, slot: str, version: str) -> None:
        try:
            seconds = self._serving.limits.seconds + 5
            held = await self._broadcast(slot, "take", version, seconds, seconds=seconds + 120)
        except RayTaskError as error:
            if isinstance(error.cause, TimeoutError):
                raise NotNow(str(error.cause)) from None
            raise Unservable(f"the engine could not load it: {error.cause}") from None
        except (RayError, RayServeException, TimeoutError) as error:
            raise NotNow(f"the engine was lost: {type(error).__name__}", is_lost=True) from None
        if set(held) != {version}:
            loaded = ", ".join(sorted(set(map(str, held))))
            raise Unservable(f"the engines hold {loaded} after loading {version}")

    async def _try(self, version: str) -> None:
        await asyncio.to_thread(ask, self._serving.own_url, self._own, version)

    async def _judge_canary(self, slots: Slots, wanted: str) -> None:
        """Promote a canary after its time, refuse it if it fails more often, drop it if the line moved on."""
        assert slots.canary
        version = slots.versions[slots.canary.slot]
        if version != wanted:
            self._write(replace(slots, canary=None))
            return
        assert version
        counts = await self._counts()
        requests, failed = slots.canary.failures(version, counts)
        _, usual = slots.canary.failures(slots.champion or "", counts)
        if requests >= _CANARY_REQUESTS and failed - usual > _CANARY_FAILURES:
            reason = f"as a canary it failed {100 * failed:.1f} % of its requests"
            epoch = self._registry.line(self._serving.line).champion_epoch
            refused = _refused(replace(slots, canary=None), version, reason, epoch)
            await self._give_up(refused, slots.canary.slot)
        elif time.time() - slots.canary.since >= 60 * self._serving.canary_minutes:
            epoch = self._registry.line(self._serving.line).champion_epoch
            self._write(_promoted(slots, slots.canary.slot, epoch))
            log.info("champion %s answers all keys", version)

    async def _counts(self) -> Counts:
        return {
            gateway: {version: (num, failed) for version, (num, failed, _) in tallies.items()}
            for gateway, tallies in await self._gateways("tallies")
        }

    async def _gateways(self, method: str) -> list[Any]:
        return await ask_all(*self._gateway_name, method)

    async def _broadcast(self, slot: str, method: str, *arguments: Any, seconds: float = 300) -> list[Any]:
        """Call a method on every replica of a slot's engine. Raises Unservable if there is no replica."""
        results = await self._engines[slot].broadcast(method, *arguments).results_async(timeout_s=seconds)
        if not results:
            raise Unservable(f"engine {slot} has no replica")
        return results

    def _write(self, slots: Slots) -> None:
        self._file.write(slots)


def _promoted(slots: Slots, slot: str, epoch: int) -> Slots:
    """The slots once the version in `slot` is the champion; an earlier refusal of it counts no more."""
    refused = {version: each for version, each in slots.refused.items() if version != slots.versions[slot]}
    return replace(slots, active=slot, epoch=epoch, loading=None, holding=False, canary=None, refused=refused)


def _refused(slots: Slots, version: str, reason: object, epoch: int) -> Slots:
    log.warning("version %s is refused: %s", version, reason)
    return replace(slots, refused={**slots.refused, version: Refusal(reason=str(reason), epoch=epoch)})
