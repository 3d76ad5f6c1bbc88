"""`ratchet` with engines whose swaps go wrong where `tests.support.stale.FAULT` says so."""

import ratchet
import serve.engine
from tests.support.stale import FaultyEngine

if __name__ == "__main__":
    serve.engine.Engine = FaultyEngine  # type: ignore[misc]
    ratchet.process()
