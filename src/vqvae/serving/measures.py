"""What the server measures, for Prometheus; the only importer of prometheus_client."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

MEDIA = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Measures:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter("vqvae_requests", "Answered requests", ("method", "route", "status"), registry=self._registry)
        self._seconds = Histogram("vqvae_request_seconds", "Seconds from the first byte of a request to the last of its answer",
                                  ("route",), buckets=_SECONDS, registry=self._registry)  # fmt: skip
        self._together = Histogram("vqvae_jobs_together", "Jobs that a model did together", ("model", "kind"), buckets=_COUNTS,
                                   registry=self._registry)  # fmt: skip
        self._waiting = Gauge("vqvae_waiting", "Requests that wait for a model", ("model",), registry=self._registry)
        self.in_flight = Gauge("vqvae_requests_in_flight", "Requests that are not yet answered", registry=self._registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def together(self, model: str, kind: str, count: int) -> None:
        """Count jobs that were done together."""
        self._together.labels(model, kind).observe(count)

    def watch(self, model: str, count: Callable[[], int]) -> None:
        """Read the length of a model's queue whenever the measures are asked for."""
        self._waiting.labels(model).set_function(count)

    def text(self) -> bytes:
        """All measures, as Prometheus reads them."""
        return generate_latest(self._registry)
