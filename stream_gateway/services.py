"""What a connection needs of its process, gathered in one value."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bus.contract.client_protocol import Limits, SessionStart
from bus.control.roster import Route
from bus.transport.connection import BusConnection
from stream_gateway.chat.answer import LlmWorkers
from stream_gateway.chat.options import AnswerPatience, ChatConfig
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.policy.pool import Pool
from stream_gateway.segmentation.scorer import FrameScorer
from stream_gateway.segmentation.segmenter import SegmenterOptions
from stream_gateway.session.config import (
    RetryOptions,
    SessionConfig,
    SessionLimits,
    check_start,
    endpoint_options,
    segmenter_options,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Shared by all connections of one gateway process."""

    gateway: str
    """Id of this process on the bus."""
    bus: BusConnection
    scorer: FrameScorer
    metrics: GatewayMetrics
    route: Callable[[str | None], Route]
    """Which ASR pool serves a model; raises NoWorker or UnknownModel."""
    check_pool: Callable[[str], None]
    """Raises Overloaded if a new session cannot be given to this pool."""
    llm: LlmWorkers
    """Who answers."""
    pool_of: Callable[[str], Pool]
    """What is known of a pool, by its name."""
    limits: SessionLimits
    resume_grace_s: float
    """How long a session waits for a client whose socket broke; 0: nothing can be resumed."""
    max_frame_bytes: int
    max_outbox_events: int
    segmenter: SegmenterOptions
    endpoint: EndpointOptions
    retry: RetryOptions
    follow_partials: bool
    """See `SessionConfig`."""
    patience: AnswerPatience
    default_instructions: str
    """System text of chats that bring none."""

    def announced_limits(self) -> Limits:
        """The limits as clients see them."""
        return Limits(
            max_frame_bytes=self.max_frame_bytes,
            max_session_s=self.limits.max_session_s,
            idle_timeout_s=self.limits.idle_timeout_s,
            max_buffered_audio_s=self.limits.max_buffered_audio_s,
        )


def reconfigured(config: SessionConfig, start: SessionStart, services: Services) -> SessionConfig:
    """`config` with what of hearing audio `start` has. Raises InvalidMessage."""
    check_start(start)
    return _heard_as(start, config, services)


def session_config(
    start: SessionStart, *, services: Services, session: str, tenant: str, route: Route | None
) -> SessionConfig:
    """A client's checked wishes with the service's defaults; `route` is None without audio."""
    audio = start.audio
    channels = 2 if audio is not None and audio.channels == 2 and audio.channel_mode == "separate" else 1
    chat = None
    if start.chat is not None:
        chat = ChatConfig(
            session=session,
            tenant=tenant,
            options=start.chat,
            default_instructions=services.default_instructions,
            patience=services.patience,
        )
    config = SessionConfig(
        session=session,
        tenant=tenant,
        model=route.model if route is not None else "",
        channels=channels if route is not None else 0,
        task=start.task,
        partials=start.partials,
        word_times=start.word_times,
        follow_partials=services.follow_partials,
        retry=services.retry,
        pool=services.pool_of(route.pool) if route is not None else Pool(),
        chat=chat,
        llm=services.llm if chat is not None else None,
    )
    return _heard_as(start, config, services)


def _heard_as(start: SessionStart, config: SessionConfig, services: Services) -> SessionConfig:
    return replace(
        config,
        language=start.language,
        vad=start.vad.enabled,
        segmenter=segmenter_options(start.vad, services.segmenter),
        endpoint=endpoint_options(start.vad, services.endpoint),
    )
