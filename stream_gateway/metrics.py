"""Prometheus metrics of a gateway process. No label ever holds a session, a tenant's words or a key."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream_gateway.policy.cadence import PoolLag
from stream_gateway.policy.doorkeeper import PoolState
from stream_gateway.session.events import ChatCancelled, ChatDone, ChatFailed, Final, Partial

_LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class GatewayMetrics:
    """The instruments, registered once per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.sessions = Gauge("harken_gateway_sessions", "Open client sockets", registry=registry)
        self.sessions_total = Counter(
            "harken_gateway_sockets_total", "Sockets by how they ended", ["outcome"], registry=registry
        )
        self.refused = Counter(
            "harken_gateway_refused_total", "Upgrades refused before a session", ["reason"], registry=registry
        )
        self.audio_s = Counter("harken_gateway_audio_seconds_total", "Audio received", registry=registry)
        self.segments = Counter("harken_gateway_segments_total", "Segments by outcome", ["outcome"], registry=registry)
        self.dropped = Counter(
            "harken_gateway_dropped_total", "Work given up on purpose", ["what", "reason"], registry=registry
        )
        self.bus_connected = Gauge("harken_gateway_bus_connected", "1 while NATS is connected", registry=registry)
        self.worker_slots = Gauge(
            "harken_gateway_worker_slots", "Slots of live workers known", ["kind", "pool"], registry=registry
        )
        self.queue_depth = Gauge(
            "harken_gateway_queue_depth", "Finals that wait in the broker for a worker", ["pool"], registry=registry
        )
        self.hedges = Counter(
            "harken_gateway_hedges_total", "Finals asked for a second time beside the first", registry=registry
        )
        self.cancels = Counter(
            "harken_gateway_cancels_total", "Finals that workers were told not to decode", ["reason"], registry=registry
        )
        self.pool_lag_s = Gauge(
            "harken_gateway_pool_lag_seconds",
            "Smoothed lag of a pool, as its sessions follow it",
            ["pool"],
            registry=registry,
        )
        self.partials_stopped = Gauge(
            "harken_gateway_partials_stopped", "1 while a pool is too slow for partials", ["pool"], registry=registry
        )
        self.outbox_events = Histogram(
            "harken_gateway_outbox_events",
            "Events waiting for a client when one is queued",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200),
            registry=registry,
        )
        self.stage_s = Histogram(
            "harken_segment_stage_seconds",
            "Where the time of a final went",
            ["stage"],
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._receive_s = self.stage_s.labels("receive")  # looked up once: it is observed for every chunk
        self.partial_lag_s = Histogram(
            "harken_partial_lag_seconds",
            "Newest sample of a partial's window until the partial was out",
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )

        self._add_resume()
        self._add_admission()
        self._add_chat()

    def _add_resume(self) -> None:
        registry = self.registry
        self.resumes = Counter(
            "harken_gateway_resumes_total", "Sessions asked to be taken up again", ["outcome"], registry=registry
        )
        self.detached = Gauge(
            "harken_gateway_detached_sessions", "Sessions whose client is away and may come back", registry=registry
        )
        self.detached_s = Histogram(
            "harken_gateway_detached_seconds",
            "How long a session waited here for its client, until that was back here or elsewhere",
            buckets=(0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0),
            registry=registry,
        )

    def _add_admission(self) -> None:
        registry = self.registry
        self.doors_closed = Gauge(
            "harken_gateway_pool_closed",
            "1 while a pool is given no new sessions, because finals would be late",
            ["pool"],
            registry=registry,
        )
        self.pool_load = Gauge(
            "harken_gateway_pool_final_load", "Share of a pool's slots that finals use", ["pool"], registry=registry
        )
        self.pool_room = Gauge(
            "harken_gateway_pool_room",
            "Sessions that a pool has room for beside those it has",
            ["pool"],
            registry=registry,
        )
        self.process_lag_s = Gauge(
            "harken_gateway_process_lag_seconds",
            "By how much the event loop runs late, smoothed",
            registry=registry,
        )
        self.scoring_share = Gauge(
            "harken_gateway_scoring_share",
            "Time that speech detection takes for a second of audio, smoothed",
            registry=registry,
        )
        self.memory_bytes = Gauge("harken_gateway_memory_bytes", "Resident memory of the process", registry=registry)

    def _add_chat(self) -> None:
        registry = self.registry
        self.answers = Counter("harken_gateway_answers_total", "Answers by how they ended", ["end"], registry=registry)
        self.continuations = Counter(
            "harken_gateway_continuations_total", "Answers asked for again, with what came so far", registry=registry
        )
        self.first_delta_s = Histogram(
            "harken_gateway_first_delta_seconds",
            "An answer's beginning, from the wish for it",
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )

    def on_answer(self, event: ChatDone | ChatCancelled | ChatFailed) -> None:
        """Count an answer that is over."""
        match event:
            case ChatDone():
                self.answers.labels(event.finish_reason).inc()
                self.first_delta_s.observe(event.times.first_delta_s)
            case ChatCancelled():
                self.answers.labels("cancelled").inc()
            case ChatFailed():
                self.answers.labels("failed").inc()

    def on_final(self, final: Final) -> None:
        """Record the stages of one final."""
        times = final.times
        for stage, seconds in (
            ("endpoint", times.endpoint_s),
            ("queue", times.queue_s),
            ("batch_wait", times.batch_wait_s),
            ("encode", times.encode_s),
            ("decode", times.decode_s),
            ("publish", times.publish_s),
            ("total", times.total_s),
        ):
            self.stage_s.labels(stage).observe(seconds)

    def on_lag(self, pool: str, lag: PoolLag) -> None:
        """Show what is known of a pool's lag."""
        self.pool_lag_s.labels(pool).set(lag.lag_s)
        self.partials_stopped.labels(pool).set(lag.partials_stopped)

    def on_pools(self, pools: Mapping[str, PoolState]) -> None:
        """Show by what it is decided whether pools are given new sessions."""
        for name, (pool, _, final_load) in pools.items():
            self.doors_closed.labels(name).set(pool.door.is_closed)
            self.pool_load.labels(name).set(final_load)
            self.pool_room.labels(name).set(pool.load.room)

    def on_process(self, lag_s: float, scoring_share: float, memory_bytes: int) -> None:
        """Show how the process itself does."""
        self.process_lag_s.set(lag_s)
        self.scoring_share.set(scoring_share)
        self.memory_bytes.set(memory_bytes)

    def on_partial(self, partial: Partial) -> None:
        """Record the lag of one partial."""
        self.partial_lag_s.observe(partial.lag_s)

    def on_received(self, audio_s: float, seconds: float) -> None:
        """Record a block of audio and the time from its frame to its frame scores."""
        self.audio_s.inc(audio_s)
        self._receive_s.observe(seconds)
