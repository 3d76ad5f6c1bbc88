"""The smoke question: a candidate is asked through the server's own HTTP path, as a client would be."""

import json
import math
import time
import urllib.error
import urllib.request
from typing import Any

from serve.candidate import NotNow, Unservable

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""No HTTP proxy of the environment comes between the server and itself, nor sees its key."""
_SECONDS = 60.0
"""That the question may take."""


def ask(host: str, port: int, key: str, version: str) -> None:
    """Raises Unservable where the answer is not of this version with finite probabilities, and NotNow where
    there is none, because the server is busy or its HTTP side is being started anew.
    """
    body = {
        "model": version,
        "messages": [{"role": "user", "content": "Say that you are there."}],
        "max_tokens": 8,
        "temperature": 0,
        "logprobs": True,
    }
    answer, answered_by = _post(host, port, key, body)
    if answered_by != version:
        raise Unservable(f"the smoke question was answered by {answered_by}")
    tokens = (answer["choices"][0].get("logprobs") or {}).get("content") or []
    if not tokens or not all(math.isfinite(token["logprob"]) for token in tokens):
        raise Unservable("the smoke answer has no finite probabilities")


def _post(host: str, port: int, key: str, body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    # The host that the server is bound to may be "all": itself it reaches by loopback.
    host = host if host not in ("0.0.0.0", "::") else "127.0.0.1"
    request = urllib.request.Request(
        f"http://{host}:{port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            with DIRECT.open(request, timeout=_SECONDS) as reply:
                return json.load(reply), reply.headers["x-ratchet-model"]
        except urllib.error.HTTPError as error:
            # Twice asked, the engine failed. Any other refusal, such as the proxy's in a flood, says nothing.
            if error.code == 503:
                raise Unservable(f"the smoke question was not answered: {error}") from None
            if time.monotonic() > deadline:
                raise NotNow(f"the smoke question was not answered: {error}") from None
            time.sleep(0.2)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise NotNow(f"the smoke question was not answered: {error}") from None
