"""The smoke test: asks a candidate one question over the server's own HTTP path, as a client would."""

import http.client
import json
import math
import time
import urllib.error
import urllib.request
from typing import Any

from serve.candidate import NotNow, Unservable
from serve.edge import OURS

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Ignores any HTTP proxy of the environment, which would otherwise see the server's own key."""
_SECONDS = 60.0
"""How long the question may take."""


def ask(url: str, key: str, version: str) -> None:
    """Ask a version of the server at `url` one question and check its answer.

    Raises Unservable if the answer comes from another version or has no finite probabilities, and NotNow if
    there is no answer because the server is busy or its HTTP side is restarting.
    """
    body = {
        "model": version,
        "messages": [{"role": "user", "content": "Say that you are there."}],
        "max_tokens": 8,
        "temperature": 0,
        "logprobs": True,
    }
    answer, answered_by = _post(url, key, body)
    if answered_by != version:
        raise Unservable(f"the smoke question was answered by {answered_by}")
    tokens = (answer["choices"][0].get("logprobs") or {}).get("content") or []
    if not tokens or not all(math.isfinite(token["logprob"]) for token in tokens):
        raise Unservable("the smoke answer has no finite probabilities")


def _post(url: str, key: str, body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            with DIRECT.open(request, timeout=_SECONDS) as reply:
                return json.load(reply), reply.headers["x-ratchet-model"]
        except urllib.error.HTTPError as error:
            # A gateway's 503 means that engines failed on this question. Any other refusal, such as the
            # proxy's during a flood of requests, says nothing about the candidate.
            if error.code == 503 and OURS in error.headers:
                raise Unservable(f"the smoke question was not answered: {error}") from None
            if time.monotonic() > deadline:
                raise NotNow(f"the smoke question was not answered: {error}") from None
            time.sleep(0.2)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotNow(f"the smoke question was not answered: {error}") from None
