"""What is asked of all gateways, of which one may be lost."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import RayServeException

from serve.gateway import Gateway, ask_all
from serve.requests import RequestError


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the replicas answer; one exception alone is raised, as where there is none of them."""
    answers: list[Any] = []

    async def results_async(**_: Any) -> list[Any]:
        if isinstance(answers[0], TimeoutError | RayServeException):
            raise answers[0]
        return answers

    def handle(*_: str) -> Any:
        return SimpleNamespace(broadcast=lambda *_: SimpleNamespace(results_async=results_async))

    monkeypatch.setattr("ray.serve.get_deployment_handle", handle)
    return answers


def test_a_gateway_that_is_lost_is_left_out_and_a_bug_is_not(found: list[Any]) -> None:
    found += [RayActorError(), "b"]
    assert asyncio.run(ask_all("Gateway", "app", "traffic")) == ["b"]
    found.append(RayTaskError("traffic", "", KeyError("b")))
    with pytest.raises(RayTaskError):
        asyncio.run(ask_all("Gateway", "app", "traffic"))


@pytest.mark.parametrize("failure", [TimeoutError(), RayServeException()])
def test_where_no_gateway_responds_clients_are_told_to_ask_again(
    found: list[Any], failure: Exception
) -> None:
    found.append(failure)
    gateway = Gateway.__new__(Gateway)
    gateway._here = SimpleNamespace(deployment="Gateway", app_name="app")
    with pytest.raises(RequestError, match="not all gateways respond") as refused:
        asyncio.run(gateway.everyone("traffic"))
    assert refused.value.status == 503 and refused.value.headers["retry-after"]
