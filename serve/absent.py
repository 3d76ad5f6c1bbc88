"""The answers where no engine can give one: while the server starts, and for a model that is not loaded."""

import asyncio
from pathlib import Path

from engine.registry.registry import Registry
from serve.requests import RequestError
from serve.slots import Slots

SOON = {"retry-after": "5"}


def still_starting() -> RequestError:
    """Build the 503 for a request that arrives before the first engine is ready."""
    return RequestError(503, "the server is starting", type="server_error", headers=SOON)


async def not_loaded(model: str, slots: Slots | None, home: Path, line: str) -> RequestError:
    """Build the 404 for a model: it names what is loaded, and for a former champion how to load it."""
    if slots is None:
        return still_starting()
    loaded = f"champion ({slots.champion})" + (f", previous ({slots.previous})" if slots.previous else "")
    events = await asyncio.to_thread(Registry(home).history, line)
    if model in {event.model_id for event in events if event.kind in ("promoted", "baseline")}:
        message = (
            f"model {model} was a champion but is not loaded; available: {loaded}. To load it, roll the line "
            f"back one champion at a time: ratchet models rollback {line}"
        )
    else:
        message = f"model {model!r} is not served; available: {loaded}"
    return RequestError(404, message, param="model", code="model_not_found")
