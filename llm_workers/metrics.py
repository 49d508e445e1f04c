"""What a worker counts. Labels are kinds and reasons, never sessions or tenants."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from bus.contract.chat_work import ChatRequest, ChatTimings, ChatUsage

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_RATES = (1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 400)


class WorkerMetrics:
    """One set per process, or per registry in tests."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def seconds(name: str, text: str) -> Histogram:
            return Histogram(f"harken_llm_{name}_seconds", text, buckets=_SECONDS, registry=registry)

        def counter(name: str, text: str, label: str) -> Counter:
            return Counter(f"harken_llm_{name}", text, [label], registry=registry)

        self._stages = {
            "queue_s": seconds("queue", "In the broker: stored until pulled; 0 for who asked directly"),
            "prefill_s": seconds("prefill", "Given to the engine until its first token"),
            "emit_s": seconds("emit", "First token until it was published"),
        }
        self._tokens = counter(
            "tokens", "Tokens of answers, by kind: prompt, cached (of the prompt) or completion", "kind"
        )
        self._rate = Histogram(
            "harken_llm_tokens_per_second", "Of one answer, after its first token", buckets=_RATES, registry=registry
        )
        self.active_slots = Gauge("harken_llm_active_slots", "Answers that run", registry=registry)
        self.requests = counter("requests", "Requests taken, by the way they came: queue or direct", "way")
        self.continuations = Counter(
            "harken_llm_continuations", "Requests taken that go on after a given beginning", registry=registry
        )
        self.cancels = counter("cancels", "Answers stopped or not begun because nobody waits, by when", "when")
        self.failures = counter("failures", "Attempts without an end, by code", "code")
        self.refused = counter("refused", "Requests not taken, by reason", "reason")
        self.dropped_turns = Counter(
            "harken_llm_dropped_turns", "Turns left out because the context has no room", registry=registry
        )
        self.bus_errors = counter("bus_errors", "Calls to the bus that failed", "call")

    def on_taken(self, request: ChatRequest, way: str) -> None:
        """Count a request that this worker works on."""
        self.requests.labels(way).inc()
        if request.prefill:
            self.continuations.inc()

    def on_done(self, usage: ChatUsage, timings: ChatTimings) -> None:
        """Count one complete answer."""
        for stage, histogram in self._stages.items():
            histogram.observe(getattr(timings, stage))
        for kind in ("prompt", "cached", "completion"):
            self._tokens.labels(kind).inc(getattr(usage, f"{kind}_tokens"))
        if timings.generate_s > 0 and usage.completion_tokens > 1:
            self._rate.observe((usage.completion_tokens - 1) / timings.generate_s)
