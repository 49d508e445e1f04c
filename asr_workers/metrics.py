"""What a worker counts. Labels are kinds and reasons, never sessions or tenants."""

from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from asr_workers.batch.costs import LearntCost
from bus.contract.work import AsrRequest, Timings

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


class WorkerMetrics:
    """One set per process, or per registry in tests."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def seconds(name: str, text: str) -> Histogram:
            return Histogram(f"harken_asr_{name}_seconds", text, ["kind"], buckets=_SECONDS, registry=registry)

        def counter(name: str, text: str, label: str) -> Counter:
            return Counter(f"harken_asr_{name}", text, [label], registry=registry)

        self._stages = {
            "queue_s": seconds("queue", "In the broker: stored until pulled"),
            "batch_wait_s": seconds("batch_wait", "In the worker: pulled until its batch began"),
            "features_s": seconds("features", "Log-mel features and prompt of one window"),
            "encode_s": seconds("encode", "Encoder calls of the window's batch"),
            "decode_s": seconds("decode", "Decoder calls of the window's batch"),
        }
        self._batch_size = Histogram(
            "harken_asr_batch_size", "Windows per model call", ["kind"], buckets=_SIZES, registry=registry
        )
        self._call_s = Gauge(
            "harken_asr_learnt_call_seconds",
            "What the plan expects of a model call: its first window, and each further one",
            ["kind", "context_s", "window"],
            registry=registry,
        )
        self._audio_s = counter("audio_seconds", "Audio decoded", "kind")
        self.fallbacks = counter("fallback_decodes", "Windows decoded again, by the last means used", "means")
        self.suppressed = counter("suppressed", "Windows whose text the guards dropped", "reason")
        self.failures = counter("failures", "Windows without a result: retried, given_up or undecodable", "outcome")
        self.dropped = counter("dropped", "Windows not decoded on purpose", "reason")
        self.bus_errors = counter("bus_errors", "Calls to the bus that failed; the window is delivered again", "call")
        self.in_flight = Gauge("harken_asr_jobs_in_flight", "Jobs held, by kind", ["kind"], registry=registry)

    def on_learnt(self, costs: Iterable[LearntCost]) -> None:
        """Show what model calls take."""
        for cost in costs:
            self._call_s.labels(cost.kind, str(cost.context_s), "first").set(cost.first_s)
            self._call_s.labels(cost.kind, str(cost.context_s), "further").set(cost.further_s)

    def on_decoded(self, request: AsrRequest, timings: Timings, *, fallback: str, suppressed: str) -> None:
        """Count one decoded window."""
        for stage, histogram in self._stages.items():
            histogram.labels(request.kind).observe(getattr(timings, stage))
        self._batch_size.labels(request.kind).observe(timings.batch_size)
        self._audio_s.labels(request.kind).inc(len(request.pcm) / 32_000)
        if fallback:
            self.fallbacks.labels(fallback).inc()
        if suppressed:
            self.suppressed.labels(suppressed).inc()
