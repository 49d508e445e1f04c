"""Settings of a gateway process: HARKEN_GATEWAY_* or flags."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bus.contract.client_protocol import EndpointMode
from bus.runtime.exposure import check_anonymous
from bus.runtime.settings import setting
from bus.runtime.tls import check_pair
from stream_gateway.policy.haste import HurryMode


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Read once by `__main__`; everything below receives values."""

    section: ClassVar[str] = "GATEWAY"

    host: str = setting("127.0.0.1", help="Address to listen on; 0.0.0.0 for all, which takes keys.")
    port: int = setting(8080, help="Port to listen on.", minimum=0, maximum=65535)
    reuse_port: bool = setting(True, help="Let several gateway processes share the port.")
    tls_cert: Path | None = setting(
        None, help="Certificate chain (PEM); with it, and its key, the port speaks wss and https alone."
    )
    tls_key: Path | None = setting(None, help="Private key of the certificate (PEM, not encrypted).")
    api_keys: tuple[str, ...] = setting(
        (),
        help="Keys as tenant=key,tenant=key; without any, everyone is the tenant `default`, and only loopback is "
        "listened on.",
    )
    allow_anonymous: bool = setting(False, help="Listen on other addresses than loopback without keys too.")
    default_model: str | None = setting(None, help="Model of sessions that name none; by default any that is served.")
    default_chat_model: str | None = setting(
        None, help="Model that answers in sessions that name none; by default any that is served."
    )
    default_instructions: str = setting(
        "You are a helpful assistant.",
        help="System text of chats that bring none; empty leaves it to the model's own template. Small models answer "
        "better with one.",
    )
    max_sessions: int = setting(500, help="Sockets held before upgrades are answered with 503.", minimum=1)
    max_tenant_sessions: int | None = setting(
        None,
        help="The same for each tenant; by default nine tenths of all where there are keys of several tenants.",
        minimum=1,
    )
    sessions_per_slot: float = setting(
        4.0,
        help="New sessions that may come at once for each slot of a worker (and eight in any case), before it is known "
        "what they ask of it; then as many as it has room for. 0: any number, as long as finals are not late.",
        minimum=0,
    )
    max_lag_s: float = setting(
        3.0,
        help="Finals are to be there within this after the end of speech: new sessions are refused where finals wait "
        "for a worker for half of it.",
        minimum=0.5,
    )
    max_process_lag_s: float = setting(
        0.25, help="New sessions are refused while the process itself runs late by more than this.", minimum=0.05
    )
    max_scoring_share: float = setting(
        0.7,
        help="The same where speech detection takes more than this for a second of audio: at 1 sessions fall behind.",
        minimum=0.1,
    )
    max_memory_mb: int = setting(
        0,
        help="MiB of resident memory above which sessions are refused; 0 is four fifths of the machine's, or of the "
        "container's.",
        minimum=0,
    )
    max_frame_bytes: int = setting(1_048_576, help="Largest WebSocket frame taken.", minimum=1024)
    max_base64_frame_bytes: int = setting(
        33_554_432, help="The same where audio comes as base64: on /v1/realtime.", minimum=1024
    )
    max_input_mb: int = setting(
        512,
        help="MiB that all sockets together may have sent and the process not taken in; above it those that hold more "
        "than an even share are cut.",
        minimum=1,
    )
    max_strangers: int = setting(
        1_000,
        help="Connections without a session at a time: those that say nothing, ask slowly, or were refused; of "
        "more the oldest is cut.",
        minimum=16,
    )
    max_outbox_events: int = setting(256, help="Events that may wait for a slow reader.", minimum=16)
    start_timeout_s: float = setting(10.0, help="Time for session.start after the upgrade.", minimum=0.1)
    idle_timeout_s: float = setting(120.0, help="A session in which nothing comes for this long ends.", minimum=1)
    resume_grace_s: float = setting(
        60.0,
        help="How long a session whose socket broke goes on and waits for its client. Later it is ended, which its "
        "client can still resume from. 0: no session can be resumed.",
        minimum=0,
    )
    max_session_s: float = setting(14_400.0, help="Longest session.", minimum=1)
    max_buffered_audio_s: float = setting(
        60.0, help="Audio not yet transcribed above which a socket is not read.", minimum=30
    )
    endpoint_s: float = setting(
        0.5, help="Silence that ends an utterance, unless a session says.", minimum=0.2, maximum=5
    )
    endpoint_mode: EndpointMode = setting(
        "fixed",
        help="Whether that silence is always the same, or adaptive: shorter after a sentence, longer in mid-phrase.",
    )
    max_utterance_s: float = setting(25.0, help="Longest utterance, unless a session says.", minimum=5, maximum=28)
    partial_interval_s: float = setting(0.4, help="Time between partials while the pool is idle.", minimum=0.1)
    follow_partials: bool = setting(
        False,
        help="Finals go on after the words that partials showed as stable, which costs half a point of word error "
        "rate and saves time where generating is slow (docs/performance.md). In a pool that lags they do in any case.",
    )
    hurry_finals: HurryMode = setting(
        "answers",
        help="Which sessions have finals a third sooner and with one point more of wrong words, where decoding "
        "takes longer than the silence hides (docs/performance.md): those that answer what is said, always these and "
        "all that want partials, or never any.",
    )
    answer_queue_s: float = setting(60.0, help="How long an answer may wait for a free slot.", minimum=1)
    answer_deadline_s: float = setting(300.0, help="How long a worker may take for one answer.", minimum=1)
    final_deadline_s: float = setting(
        30.0, help="A final that a worker took and did not answer for this long is asked for again.", minimum=1
    )
    hedge_finals: bool = setting(
        True, help="Ask a second worker for a final that the first has for longer than almost all others take."
    )
    drain_timeout_s: float = setting(20.0, help="How long sessions may go on after SIGTERM.", minimum=0)
    # The least is the window in which the broker tells repeated records: it may not be longer than they live.
    transcript_retention_s: float = setting(604_800.0, help="How long stored transcripts are kept.", minimum=600)
    connect_timeout_s: float = setting(30.0, help="How long to try to reach NATS at the start.", minimum=0.1)

    def __post_init__(self) -> None:
        check_pair(self.tls_cert, self.tls_key)
        check_anonymous(self.host, has_keys=bool(self.api_keys), is_allowed=self.allow_anonymous)
