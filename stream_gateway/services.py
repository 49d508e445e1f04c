"""What a connection needs of its process, gathered in one value."""

from collections.abc import Callable
from dataclasses import dataclass

from bus.contract.client_protocol import Limits
from bus.control.roster import Route
from bus.transport.connection import BusConnection
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.policy.cadence import CadenceOptions
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.policy.hedging import HedgeOptions
from stream_gateway.policy.pool import Pool
from stream_gateway.segmentation.scorer import FrameScorer
from stream_gateway.segmentation.segmenter import SegmenterOptions
from stream_gateway.session.config import RetryOptions, SessionLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Shared by all connections of one gateway process."""

    gateway: str
    """Id of this process on the bus."""
    bus: BusConnection
    scorer: FrameScorer
    metrics: GatewayMetrics
    route: Callable[[str | None], Route]
    """Which pool serves a model; raises NoWorker or UnknownModel."""
    pool_of: Callable[[str], Pool]
    """What is known of a pool, by its name."""
    limits: SessionLimits
    max_frame_bytes: int
    max_outbox_events: int
    segmenter: SegmenterOptions
    endpoint: EndpointOptions
    cadence: CadenceOptions
    hedging: HedgeOptions
    retry: RetryOptions
    follow_partials: bool
    """See `SessionConfig`."""

    def announced_limits(self) -> Limits:
        """The limits as clients see them."""
        return Limits(
            max_frame_bytes=self.max_frame_bytes,
            max_session_s=self.limits.max_session_s,
            idle_timeout_s=self.limits.idle_timeout_s,
            max_buffered_audio_s=self.limits.max_buffered_audio_s,
        )
