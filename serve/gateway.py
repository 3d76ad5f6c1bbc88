"""The HTTP side of the server as a Ray Serve replica.

A gateway builds its desk (`serve/desk.py`) and the app around it (`serve/routes.py`), answers broadcasts from
other replicas, and drains when the server shuts down.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from configs.serving import Serving
from serve import filters, routes
from serve.checks import Checks
from serve.desk import Desk
from serve.embeddings import EmbeddingsDesk
from serve.feedback import Elsewhere, FeedbackDesk, Given
from serve.keys import Keys
from serve.limits import Limiter
from serve.metrics import Metrics
from serve.requests import RequestError
from serve.seats import Seats, num_seats
from serve.slots import SlotsFile


def desk_of(
    serving: Serving,
    home: Path,
    engines: Mapping[str, DeploymentHandle],
    metrics: Metrics,
    elsewhere: Elsewhere | None = None,
    embedder: DeploymentHandle | None = None,
) -> Desk:
    """Build the desk of one gateway, which takes its share of the seats, the queue and the rate limits.

    `elsewhere` finds an answer that another gateway has given, where there are several. `embedder` is the
    embedding model, where the config has one.
    """
    refuses_input = filters.build(serving.filters.input)
    queue = -(-serving.limits.queue // serving.gateways)
    embeddings = None
    if serving.embeddings and embedder:
        embeddings = EmbeddingsDesk(
            settings=serving.embeddings, embedder=embedder, seats=Seats(1, queue, None)
        )
    return Desk(
        serving=serving,
        home=home,
        keys=Keys(home),
        slots=SlotsFile(home, serving.line, engines),
        engines=engines,
        metrics=metrics,
        limiter=Limiter(1 / serving.gateways),
        seats=Seats(
            max(1, num_seats(serving.engines) // serving.gateways),
            queue,
            metrics,
        ),
        refuses_input=refuses_input,
        refuses_output=filters.build(serving.filters.output),
        input_needs_text=filters.needs_text(serving.filters.input),
        output_needs_text=filters.needs_text(serving.filters.output),
        checks=Checks(serving.checking),
        feedback=FeedbackDesk(serving, home, refuses_input, elsewhere) if serving.feedback else None,
        embeddings=embeddings,
    )


async def ask_all(name: str, app: str, method: str, *arguments: Any) -> list[Any]:
    """Call a method on every replica of a deployment; one that is lost is left out.

    Raises TimeoutError if one does not respond, RayServeException if there is none, and what a method raises.
    """
    response = serve.get_deployment_handle(name, app).broadcast(method, *arguments)
    found = await response.results_async(timeout_s=10, return_exceptions=True)
    for each in found:
        if isinstance(each, Exception) and not isinstance(each, RayActorError):
            raise each
    return [each for each in found if not isinstance(each, RayActorError)]


class Gateway:
    """One replica of the HTTP side."""

    def __init__(
        self,
        serving: Serving,
        home: str,
        engines: dict[str, DeploymentHandle],
        own: str,
        keeper: DeploymentHandle,
        embedder: DeploymentHandle | None = None,
    ) -> None:
        # Serve deploys what is bound to this deployment, so the keeper is an argument that stays unused.
        self._own, self._keeper = own, keeper
        self._here = serve.get_replica_context()
        streaming = {slot: handle.options(stream=True) for slot, handle in engines.items()}
        metrics = Metrics(self._here.replica_id.unique_id)
        elsewhere = self._elsewhere if serving.gateways > 1 else None
        self._desk = desk_of(serving, Path(home), streaming, metrics, elsewhere, embedder)

    def __serve_build_asgi_app__(self) -> Any:
        return routes.build(self._desk, self._own, self.everyone)

    async def everyone(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method on every gateway, this one included. Raises RequestError (503)."""
        try:
            return await ask_all(self._here.deployment, self._here.app_name, method, *arguments)
        except (RayServeException, TimeoutError):
            raise RequestError(
                503, "not all gateways respond", type="server_error", headers={"retry-after": "5"}
            ) from None

    async def recall(self, key: str, answer: str) -> Given | None:
        """An answer that this gateway gave to a key, while it is remembered."""
        feedback = self._desk.feedback
        return feedback.recent.find(key, answer) if feedback else None

    async def _elsewhere(self, key: str, answer: str) -> Given | None:
        return next((given for given in await self.everyone("recall", key, answer) if given), None)

    async def tallies(self) -> tuple[str, dict[str, tuple[int, int, list[float]]]]:
        """Return this gateway's id, and each version's requests, failed requests and recent latencies."""
        metrics = self._desk.metrics
        return metrics.gateway, {
            version: (each.requests, each.failed, list(each.seconds))
            for version, each in metrics.tallies.items()
        }

    async def traffic(self) -> dict[str, Any]:
        """Return the queue's load and the tallies, for the page."""
        seats = self._desk.seats
        return {"load": (seats.waiting, seats.running), "tallies": (await self.tallies())[1]}

    async def metrics_text(self) -> str:
        return self._desk.metrics.text()

    async def drain(self) -> int:
        """Stop accepting requests, and count those that still wait or run."""
        return self._desk.close()
