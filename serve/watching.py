"""All routes but those that answer: names of models, health, metrics, the page, and what it shows."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import FastAPI, Request
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from engine.disk.home import LocateError, run_dir_of
from engine.records import to_json
from engine.registry.registry import Registry
from serve.absent import not_loaded, still_starting
from serve.desk import Desk
from serve.guard import allowed
from serve.keys import Key, Scope
from serve.metrics import merged
from serve.requests import RequestError
from serve.slots import Slots

Everyone: TypeAlias = Callable[[str], Awaitable[list[Any]]]
"""Calls a method of every gateway and returns their results."""


def add(app: FastAPI, desk: Desk, everyone: Everyone) -> None:
    """Add all of these routes to the app of a gateway."""
    _models(app, desk)
    _health(app, desk)
    _page(app)
    _administration(app, desk, everyone)


def _models(app: FastAPI, desk: Desk) -> None:
    def cards(key: Key) -> list[dict[str, Any]]:
        slots = desk.slots.read()
        if slots is None:
            raise still_starting()
        names = ["champion", "previous", *filter(None, slots.versions.values())]
        roots = {name: found[1] for name in names if (found := slots.find(name, key.id))}
        if desk.embeddings:
            roots[desk.embeddings.name] = desk.embeddings.name
        return [
            {"id": name, "object": "model", "created": 0, "owned_by": slots.line, "root": root}
            for name, root in roots.items()
        ]

    @app.get("/v1/models")
    async def list_models(request: Request) -> Response:
        """List what `model` may name: champion, previous, the ids of both, and the embedding model."""
        key = allowed(request, Scope.INFER)
        return JSONResponse({"object": "list", "data": cards(key)})

    @app.get("/v1/models/{model}")
    async def retrieve_model(model: str, request: Request) -> Response:
        """Describe one model."""
        key = allowed(request, Scope.INFER)
        for card in cards(key):
            if card["id"] == model:
                return JSONResponse(card)
        raise await not_loaded(model, desk.slots.read(), desk.home, desk.serving.line)


def _health(app: FastAPI, desk: Desk) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> Response:
        """Say that this gateway is alive."""
        return PlainTextResponse("ok")

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> Response:
        """Say whether an engine answers as the champion; 503 if none does or the server shuts down."""
        if desk.seats.closed:
            return PlainTextResponse("shutting down", 503)
        slots = desk.slots.read()
        if slots is None or slots.champion is None or slots.holding:
            return PlainTextResponse("starting", 503)
        handle = desk.engines[slots.active].options(stream=False)
        try:
            held = await asyncio.wait_for(handle.version.remote(), timeout=2)
        except (TimeoutError, RayError, RayServeException):
            return PlainTextResponse("no engine", 503)
        return PlainTextResponse("ok") if held == slots.champion else PlainTextResponse("loading", 503)


def _page(app: FastAPI) -> None:
    @app.get("/", response_class=HTMLResponse)
    async def page() -> Response:
        """Return the page without data; it fetches what it shows with the key that is entered in it."""
        text, policy = page_and_policy()
        return HTMLResponse(text, headers={"content-security-policy": policy})


def _administration(app: FastAPI, desk: Desk, everyone: Everyone) -> None:
    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """Return the metrics of all gateways in Prometheus's text format."""
        allowed(request, Scope.ADMIN)
        text = merged(await everyone("metrics_text"))
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    @app.get("/admin/state")
    async def state(request: Request) -> Response:
        """Return what is served, the line's history, and the traffic."""
        allowed(request, Scope.ADMIN)
        slots = desk.slots.read()
        return JSONResponse(
            {
                "slots": asdict(slots) if slots else None,
                # In a thread, because a long history takes a while to read and every open page asks for it.
                **await asyncio.to_thread(_recorded, desk, slots),
                "engines": await _running(desk),
                **_total(await everyone("traffic")),
            }
        )

    @app.get("/admin/reports/{run}", response_class=HTMLResponse)
    async def report(run: str, request: Request) -> Response:
        """Return a run's report."""
        allowed(request, Scope.ADMIN)
        if run not in _reports(desk.home):
            raise RequestError(404, f"run {run!r} has no report")
        try:
            return HTMLResponse((run_dir_of(desk.home, run) / "report.html").read_text())
        except (LocateError, OSError):
            raise RequestError(404, f"run {run!r} has no report") from None


async def _running(desk: Desk) -> dict[str, int | None]:
    """Count the requests that each slot's vLLM is running; None for an engine that does not respond."""

    async def running(slot: str) -> int | None:
        handle = desk.engines[slot].options(stream=False)
        try:
            return sum(await handle.broadcast("running").results_async(timeout_s=2))
        except (RayError, RayServeException, TimeoutError):
            return None

    return dict(zip(desk.engines, await asyncio.gather(*map(running, desk.engines)), strict=True))


def _total(gateways: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up the traffic of all gateways."""
    traffic: dict[str, dict[str, Any]] = {}
    for each in gateways:
        for version, (num, failed, seconds) in each["tallies"].items():
            total = traffic.setdefault(version, {"requests": 0, "failed": 0, "seconds": []})
            total["requests"] += num
            total["failed"] += failed
            total["seconds"] += seconds
    waiting, running = (sum(each["load"][i] for each in gateways) for i in (0, 1))
    return {"queue": {"waiting": waiting, "running": running}, "traffic": traffic}


@cache
def page_and_policy() -> tuple[str, str]:
    """The page, and the content security policy that it is sent with.

    The policy allows only the page's own style and script, by their hashes, and connections to this server.
    """
    text, parts = (Path(__file__).parent / "page.html").read_text(), []
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        inner = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in inner]
        parts.append(f"{directive} " + " ".join(f"'sha256-{each}'" for each in hashes))
    others = ("connect-src 'self'", "base-uri 'none'", "frame-ancestors 'none'")
    return text, "; ".join(["default-src 'none'", *parts, *others])


def _recorded(desk: Desk, slots: Slots | None) -> dict[str, Any]:
    """What the files say of the line and of the versions that are loaded."""
    registry = Registry(desk.home)
    lineage = registry.lineage(slots.champion) if slots and slots.champion else ()
    return {
        "history": [json.loads(to_json(event)) for event in registry.history(desk.serving.line)[-100:]],
        "lineage": [each.model_id for each in lineage],
        "examples": examples_of(registry, slots),
        "reports": _reports(desk.home),
    }


def _reports(home: Path) -> list[str]:
    """List the runs that have a report, newest first."""
    found = [path for path in (home / "runs").glob("*/report.html") if not path.parent.is_symlink()]
    return [path.parent.name for path in sorted(found, key=lambda path: -path.stat().st_mtime)][:20]


def examples_of(registry: Registry, slots: Slots | None) -> dict[str, dict[str, Any] | None]:
    """Version to a question of its own task, with the system message; None where its manifest has none.

    A GGUF file is a version that is not in the registry, and has none either.
    """
    versions = [version for version in slots.versions.values() if version] if slots else []
    stored = {version: next(iter(registry.lineage(version)), None) for version in versions}
    found = {version: manifest.example if manifest else None for version, manifest in stored.items()}
    return {version: asdict(example) if example else None for version, example in found.items()}
