"""What is beside the answers: names of models, health, metrics, the page and the state that it shows."""

import asyncio
import base64
import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from engine.disk.home import LocateError, run_dir_of
from engine.records import to_json
from engine.registry.registry import Registry
from serve.gateway import Gateway, allowed, starting
from serve.keys import Key, Scope
from serve.metrics import merged
from serve.requests import RequestError

PAGE = Path(__file__).parent / "page.html"


def add(app: FastAPI, gateway: Gateway) -> None:
    """All of it to the app of a gateway."""
    _models(app, gateway)
    _health(app, gateway)
    _page(app)
    _administration(app, gateway)


def _models(app: FastAPI, gateway: Gateway) -> None:
    def cards(key: Key) -> list[dict[str, Any]]:
        slots = gateway.slots.read()
        if slots is None:
            raise starting()
        names = ["champion", "previous", *filter(None, slots.versions.values())]
        return [
            {"id": name, "object": "model", "created": 0, "owned_by": slots.line, "root": found[1]}
            for name in dict.fromkeys(names)
            if (found := slots.find(name, key.id))
        ]

    @app.get("/v1/models")
    async def list_models(request: Request) -> Response:
        """Names that `model` may be: the champion, the version before, and both by their ids."""
        key = allowed(request, Scope.INFER)
        return JSONResponse({"object": "list", "data": cards(key)})

    @app.get("/v1/models/{model}")
    async def retrieve_model(model: str, request: Request) -> Response:
        """One of them."""
        key = allowed(request, Scope.INFER)
        for card in cards(key):
            if card["id"] == model:
                return JSONResponse(card)
        raise gateway.unknown(model)


def _health(app: FastAPI, gateway: Gateway) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> Response:
        """This gateway is alive."""
        return PlainTextResponse("ok")

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> Response:
        """An engine is there that answers as the champion; 503 where none is, or the server ends."""
        if gateway.turns.closed:
            return PlainTextResponse("ending", 503)
        slots = gateway.slots.read()
        if slots is None or slots.champion is None or slots.holding:
            return PlainTextResponse("starting", 503)
        handle = gateway.engines[slots.active].options(stream=False)
        try:
            held = await asyncio.wait_for(handle.version.remote(), timeout=2)
        except (TimeoutError, RayError):
            return PlainTextResponse("no engine", 503)
        return PlainTextResponse("ok") if held == slots.champion else PlainTextResponse("loading", 503)


def _page(app: FastAPI) -> None:
    @app.get("/", response_class=HTMLResponse)
    async def page() -> Response:
        """A page without data; what it shows it asks for with the key that is entered there."""
        return HTMLResponse(PAGE.read_text(), headers={"content-security-policy": page_policy()})


def _administration(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """For Prometheus."""
        allowed(request, Scope.ADMIN)
        text = merged(await gateway.everyone("metrics_text"))
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    @app.get("/admin/state")
    async def state(request: Request) -> Response:
        """What is served, how it came to be so, and its traffic."""
        allowed(request, Scope.ADMIN)
        slots, registry = gateway.slots.read(), Registry(gateway.home)
        events = [json.loads(to_json(event)) for event in registry.history(gateway.serving.line)][-100:]
        lineage = registry.lineage(slots.champion) if slots and slots.champion else ()
        return JSONResponse(
            {
                "slots": asdict(slots) if slots else None,
                "history": events,
                "lineage": [
                    {"model_id": each.model_id, "trained": bool(each.training_set_id)} for each in lineage
                ],
                "reports": _reports(gateway.home),
                "engines": await _running(gateway),
                **_traffic(await gateway.everyone("told")),
            }
        )

    @app.get("/admin/reports/{run}", response_class=HTMLResponse)
    async def report(run: str, request: Request) -> Response:
        """A run's report."""
        allowed(request, Scope.ADMIN)
        if run not in _reports(gateway.home):
            raise RequestError(404, f"no report of a run {run!r}")
        try:
            return HTMLResponse((run_dir_of(gateway.home, run) / "report.html").read_text())
        except (LocateError, OSError):
            raise RequestError(404, f"no report of a run {run!r}") from None


async def _running(gateway: Gateway) -> dict[str, int | None]:
    """Slot to the requests that vLLM itself runs; None where it does not say."""

    async def of(slot: str) -> int | None:
        handle = gateway.engines[slot].options(stream=False)
        try:
            return sum(await handle.broadcast("running").results_async(timeout_s=2))
        except (RayError, RayServeException, TimeoutError):
            return None

    return dict(zip(gateway.engines, await asyncio.gather(*map(of, gateway.engines)), strict=True))


def _traffic(told: list[dict[str, Any]]) -> dict[str, Any]:
    """What all gateways told, added up."""
    traffic: dict[str, dict[str, Any]] = {}
    for each in told:
        for version, (num, failed, seconds) in each["tallies"].items():
            total = traffic.setdefault(version, {"requests": 0, "failed": 0, "seconds": []})
            total["requests"] += num
            total["failed"] += failed
            total["seconds"] += seconds
    waiting, running = (sum(each["load"][i] for each in told) for i in (0, 1))
    return {"queue": {"waiting": waiting, "running": running}, "traffic": traffic}


def page_policy() -> str:
    """Only the page's own style and script, by their hashes, and only this server to talk to."""
    text, parts = PAGE.read_text(), []
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        inner = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in inner]
        parts.append(f"{directive} " + " ".join(f"'sha256-{each}'" for each in hashes))
    return "; ".join(
        ["default-src 'none'", *parts, "connect-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"]
    )


def _reports(home: Path) -> list[str]:
    """Runs that have a report, newest first."""
    found = [path for path in (home / "runs").glob("*/report.html") if not path.parent.is_symlink()]
    return [path.parent.name for path in sorted(found, key=lambda path: -path.stat().st_mtime)][:20]
