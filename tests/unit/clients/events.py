"""Builders of server events and messages."""

from typing import Literal

import msgspec

from bus.contract.client_protocol import (
    AudioCommitted,
    ChatCancelled,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatStarted,
    ChatTimes,
    ChatTurnStored,
    ChatUsage,
    ErrorEvent,
    Limits,
    ResumeGrant,
    SessionEnded,
    SessionResumed,
    SessionStarted,
    StageTimes,
    TranscriptFailed,
    TranscriptFinal,
    TranscriptPartial,
)
from bus.contract.work import Word

LIMITS = Limits(max_frame_bytes=65536, max_session_s=3600.0, idle_timeout_s=60.0, max_buffered_audio_s=60.0)
GRANT = ResumeGrant(token="t0ken", within_s=3600.0)


def started(
    seq: int = 1,
    *,
    max_frame_bytes: int = 65536,
    audio_offset: int = 0,
    chat_model: str | None = None,
    grant: ResumeGrant | None = None,
) -> SessionStarted:
    return SessionStarted(
        seq=seq,
        session="s1",
        audio_offset=audio_offset,
        sample_rate=16_000,
        channels=1,
        model="base",
        limits=msgspec.structs.replace(LIMITS, max_frame_bytes=max_frame_bytes),
        chat_model=chat_model,
        resume=grant,
    )


def partial(
    seq: int, *, segment: int = 1, stable: str = "", text: str = "hello", channel: int = 0, start_s: float = 0.0
) -> TranscriptPartial:
    return TranscriptPartial(
        seq=seq, segment=segment, channel=channel, start_s=start_s, end_s=start_s + 1.0, stable=stable, text=text
    )


def final(
    seq: int,
    *,
    segment: int = 1,
    text: str = "hello world",
    words: tuple[Word, ...] = (),
    start_s: float = 0.0,
    end_s: float = 1.0,
    channel: int = 0,
    total_s: float = 0.5,
) -> TranscriptFinal:
    return TranscriptFinal(
        seq=seq,
        segment=segment,
        channel=channel,
        start_s=start_s,
        end_s=end_s,
        text=text,
        words=words,
        language="en",
        model="base",
        times=StageTimes(
            endpoint_s=0.1, queue_s=0.0, batch_wait_s=0.0, encode_s=0.1, decode_s=0.1, publish_s=0.0, total_s=total_s
        ),
    )


def failed(seq: int, *, segment: int = 1, start_s: float = 0.0, end_s: float = 1.0) -> TranscriptFailed:
    return TranscriptFailed(
        seq=seq, segment=segment, channel=0, start_s=start_s, end_s=end_s, code="decode_failed", message="gave up"
    )


def committed(seq: int, offset: int) -> AudioCommitted:
    return AudioCommitted(seq=seq, offset=offset, time_s=offset / 16_000)


def ended(seq: int, *, reason: str = "audio_end", audio_s: float = 1.0, segments: int = 1) -> SessionEnded:
    return SessionEnded(seq=seq, reason=reason, audio_s=audio_s, segments=segments)


def error(seq: int, *, code: str = "decode_failed", retryable: bool = False, fatal: bool = False) -> ErrorEvent:
    return ErrorEvent(seq=seq, code=code, message="what went wrong", retryable=retryable, fatal=fatal)


def chat_started(seq: int, *, answer: int = 1, model: str = "smollm2", name: str | None = None) -> ChatStarted:
    return ChatStarted(seq=seq, answer=answer, model=model, id=name)


def turn_stored(seq: int, *, turn: int = 1, name: str | None = None) -> ChatTurnStored:
    return ChatTurnStored(seq=seq, turn=turn, source="typed", id=name)


def resumed(
    seq: int,
    *,
    audio_offset: int = 0,
    max_frame_bytes: int = 65536,
    grant: ResumeGrant | None = GRANT,
    chat_model: str | None = None,
) -> SessionResumed:
    plain = started(seq, audio_offset=audio_offset, max_frame_bytes=max_frame_bytes, chat_model=chat_model, grant=grant)
    return SessionResumed(**msgspec.structs.asdict(plain))


def delta(seq: int, text: str, *, answer: int = 1) -> ChatDelta:
    return ChatDelta(seq=seq, answer=answer, text=text)


def done(
    seq: int,
    text: str = "",
    *,
    answer: int = 1,
    finish_reason: Literal["stop", "length"] = "stop",
    completion_tokens: int = 21,
    cached_tokens: int = 30,
    total_s: float = 1.5,
) -> ChatDone:
    return ChatDone(
        seq=seq,
        answer=answer,
        text=text,
        finish_reason=finish_reason,
        usage=ChatUsage(prompt_tokens=40, completion_tokens=completion_tokens, cached_tokens=cached_tokens),
        times=ChatTimes(queue_s=0.125, prefill_s=0.25, first_delta_s=0.5, total_s=total_s),
        model="smollm2",
    )


def cancelled(
    seq: int, text: str = "", *, answer: int = 1, reason: Literal["client", "speech", "turn"] = "client"
) -> ChatCancelled:
    return ChatCancelled(seq=seq, answer=answer, text=text, reason=reason)


def chat_failed(
    seq: int, text: str = "", *, answer: int = 1, code: str = "chat_failed", retryable: bool = True
) -> ChatFailed:
    return ChatFailed(seq=seq, answer=answer, text=text, code=code, message="it broke off", retryable=retryable)
