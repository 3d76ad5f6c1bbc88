"""A gateway's Prometheus metrics: latency, time to first token, time between tokens, queue, tokens, errors.

Every figure of a request is labelled with the version that answered. No label contains a key or a text.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_BUCKETS_BETWEEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


@dataclass
class Tally:
    """One version's requests, for judging a canary and for the page."""

    requests: int = 0
    failed: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=512))
    """Latencies of the latest requests."""


class Metrics:
    """Counts and times the requests of one gateway."""

    def __init__(self, gateway: str) -> None:
        self.registry = CollectorRegistry()
        labels = ("gateway", "version", "endpoint")

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"ratchet_{name}", text, labels, buckets=buckets, registry=self.registry)

        self.gateway = gateway
        self._latency = histogram(
            "request_seconds", "Time from a request's arrival to its last byte", _BUCKETS
        )
        self._first = histogram(
            "time_to_first_token_seconds", "Time from arrival to the first text", _BUCKETS
        )
        self._between = histogram(
            "inter_token_seconds", "Mean time between two tokens of a request", _BUCKETS_BETWEEN
        )
        self._requests = Counter(
            "ratchet_requests", "Requests that reached an engine", (*labels, "status"), registry=self.registry
        )
        self._tokens = Counter(
            "ratchet_tokens", "Prompt and completion tokens", (*labels, "kind"), registry=self.registry
        )
        self._refused = Counter(
            "ratchet_refused",
            "Requests refused before an engine",
            ("gateway", "status"),
            registry=self.registry,
        )
        self._waiting = Gauge("ratchet_queue", "Requests waiting", ("gateway",), registry=self.registry)
        self._running = Gauge(
            "ratchet_running", "Requests running in an engine", ("gateway",), registry=self.registry
        )
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)

    def load(self, waiting: int, running: int) -> None:
        """Set how many requests wait and run at the moment."""
        self._waiting.labels(self.gateway).set(waiting)
        self._running.labels(self.gateway).set(running)

    def refused(self, status: int) -> None:
        """Count a request that never reached an engine."""
        self._refused.labels(self.gateway, str(status)).inc()

    def answered(
        self,
        *,
        version: str,
        endpoint: str,
        status: int,
        seconds: float,
        first: float | None,
        prompt_tokens: int,
        completion_tokens: int,
    ) -> None:
        """Count a request that an engine began; `first` is the seconds to a stream's first text."""
        labels = (self.gateway, version, endpoint)
        self._requests.labels(*labels, str(status)).inc()
        self._latency.labels(*labels).observe(seconds)
        if first is not None:
            self._first.labels(*labels).observe(first)
            if completion_tokens > 1:
                self._between.labels(*labels).observe((seconds - first) / (completion_tokens - 1))
        self._tokens.labels(*labels, "prompt").inc(prompt_tokens)
        self._tokens.labels(*labels, "completion").inc(completion_tokens)
        tally = self.tallies[version]
        tally.requests += 1
        tally.failed += status >= 500
        tally.seconds.append(seconds)

    def text(self) -> str:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry).decode()


def merged(texts: Iterable[str]) -> str:
    """Merge the metrics of several gateways into one text; each sample names its gateway."""
    families: dict[str, list[str]] = {}
    for text in texts:
        head = ""
        for line in text.splitlines():
            if line.startswith("# HELP"):
                head = line
                families.setdefault(head, [])
            elif line.startswith("# TYPE"):
                if line not in families[head]:
                    families[head].insert(0, line)
            else:
                families[head].append(line)
    return "".join(f"{line}\n" for head, lines in families.items() for line in (head, *lines))
