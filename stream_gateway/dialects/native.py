"""Native protocol v1 (docs/protocol.md): JSON text frames for control, binary frames for audio."""

from collections.abc import Mapping, Sequence
from typing import assert_never, get_args

import msgspec

from bus.contract import client_protocol as wire
from bus.contract.errors import InvalidMessage, UnknownMessageType
from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.dialects.base import Action, Audio, Handshake
from stream_gateway.session import events

_CLIENT_TYPES = tuple(kind.__struct_config__.tag for kind in get_args(wire.ClientMessage))
_TYPE_NAMES = f"{', '.join(_CLIENT_TYPES[:-1])} and {_CLIENT_TYPES[-1]}"


_RESUME = ("resume", "1")
"""In the query of an upgrade: its first message will be `session.resume`, for which there is more room."""
_UNSPOKEN = (events.SpeechCleared, events.CommitDone, events.AnswerWanted, events.Flushed)


class _Tag(msgspec.Struct):
    """Only the type: whether a message is unknown is decided before whether its fields are right."""

    type: str


_tag_decoder = msgspec.json.Decoder(_Tag)
_decoder: msgspec.json.Decoder[wire.ClientMessage] = msgspec.json.Decoder(wire.ClientMessage)


class NativeDialect:
    """Numbers the events of one socket. `offset_rate_hz` is the rate in which this client counts its audio."""

    starts_late = False
    may_never_speak = False
    can_resume = True
    read_apart = None
    idle_timeout_s: float | None = None

    def __init__(self, handshake: Handshake) -> None:
        self._limits = handshake.limits
        self._next_seq = 1
        self._is_silent = True
        self._must_resume = asks_to_resume(handshake.query)
        self.offset_rate_hz = SAMPLE_RATE_HZ

    def on_open(self) -> Sequence[Action]:
        """Nothing follows from the upgrade alone."""
        return ()

    def on_text(self, text: str) -> Sequence[Action]:
        """Read one text frame; raises InvalidMessage or UnknownMessageType."""
        try:
            tag = _tag_decoder.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidMessage(f"a text frame must be a JSON object with a string `type`: {error}") from None
        if tag.type not in _CLIENT_TYPES:
            raise UnknownMessageType(f"unknown message type; this protocol has {_TYPE_NAMES}")
        try:
            message = _decoder.decode(text)
        except msgspec.DecodeError as error:
            raise InvalidMessage(f"{tag.type}: {error}") from None
        if self._is_silent:
            self._begin(message)
        return (message,)

    def _begin(self, first: wire.ClientMessage) -> None:
        if isinstance(first, wire.SessionResume):
            self._next_seq = max(first.seq, 0) + 1
        elif self._must_resume:
            raise InvalidMessage("a socket that was opened with resume=1 begins with session.resume")
        self._is_silent = False

    def on_binary(self, data: bytes) -> Sequence[Action]:
        """Every binary frame is audio."""
        return (Audio(data),)

    def close(self, code: int, reason: str) -> tuple[int, str]:
        """Codes are ours."""
        return code, reason

    def render(self, event: events.SessionEvent) -> Sequence[str]:
        """Spell one session event as one text frame. Some have none: they answer what this protocol cannot ask for."""
        if isinstance(event, _UNSPOKEN):
            return ()
        message = self._translate(event, self._next_seq)
        self._next_seq += 1
        return (wire.encode_message(message),)

    def _translate(self, event: events.SessionEvent, seq: int) -> wire.ServerEvent:
        match event:
            case events.Partial():
                return wire.TranscriptPartial(
                    seq=seq,
                    segment=event.segment,
                    channel=event.channel,
                    start_s=_ms(event.start_s),
                    end_s=_ms(event.end_s),
                    stable=event.stable,
                    text=event.text,
                    language=event.language,
                )
            case events.Final():
                return self._final(event, seq)
            case events.Failed():
                return wire.TranscriptFailed(
                    seq=seq,
                    segment=event.segment,
                    channel=event.channel,
                    start_s=_ms(event.start_s),
                    end_s=_ms(event.end_s),
                    code=event.code,
                    message=event.message,
                )
            case events.Committed(sample=sample):
                offset = sample * self.offset_rate_hz // SAMPLE_RATE_HZ
                return wire.AudioCommitted(seq=seq, offset=offset, time_s=_ms(sample / SAMPLE_RATE_HZ))
            case events.SpeechStarted(segment, channel, start_s):
                return wire.SpeechStarted(seq=seq, segment=segment, channel=channel, start_s=_ms(start_s))
            case events.SpeechEnded(segment, channel, end_s):
                return wire.SpeechEnded(seq=seq, segment=segment, channel=channel, end_s=_ms(end_s))
            case (
                events.TurnStored()
                | events.ChatStarted()
                | events.ChatDelta()
                | events.ChatDone()
                | events.ChatCancelled()
                | events.ChatFailed()
            ):
                return _about_chat(event, seq)
            case events.SpeechCleared() | events.CommitDone() | events.AnswerWanted() | events.Flushed():
                raise AssertionError("this protocol has no words for it")
            case events.Spelled() | events.Deferred() | events.Missed():
                raise AssertionError("what holds other events, or is spelled already, is not rendered")
            case _:
                return self._about_session(event, seq)

    def _about_session(
        self, event: events.Started | events.Fault | events.DrainNotice | events.Ended, seq: int
    ) -> wire.ServerEvent:
        match event:
            case events.Started():
                return self._opened(event, seq)
            case events.Fault(error, fatal):
                return wire.ErrorEvent(
                    seq=seq, code=error.code, message=error.message, retryable=error.retryable, fatal=fatal
                )
            case events.DrainNotice(within_s):
                return wire.SessionDraining(seq=seq, within_s=within_s)
            case events.Ended(reason, audio_s, segments):
                return wire.SessionEnded(seq=seq, reason=reason, audio_s=_ms(audio_s), segments=segments)
            case _:
                assert_never(event)

    def _opened(self, event: events.Started, seq: int) -> wire.ServerEvent:
        spelled, audio_offset = wire.SessionStarted, 0
        if isinstance(event, events.Resumed):
            spelled, audio_offset = wire.SessionResumed, event.audio_offset
        return spelled(
            seq=seq,
            session=event.session,
            audio_offset=audio_offset,
            sample_rate=self.offset_rate_hz,
            channels=event.channels,
            model=event.model,
            limits=self._limits,
            chat_model=event.chat_model,
            resume=event.resume,
        )

    def _final(self, event: events.Final, seq: int) -> wire.TranscriptFinal:
        return wire.TranscriptFinal(
            seq=seq,
            segment=event.segment,
            channel=event.channel,
            start_s=_ms(event.start_s),
            end_s=_ms(event.end_s),
            text=event.text,
            words=event.words,
            language=event.language,
            model=event.model,
            times=event.times,
        )


def asks_to_resume(query: Mapping[str, Sequence[str]]) -> bool:
    """Whether the query of an upgrade says that a session is to be taken up on this socket."""
    name, value = _RESUME
    return value in query.get(name, ())


def _about_chat(event: events.ChatEvent, seq: int) -> wire.ServerEvent:
    match event:
        case events.TurnStored():
            return wire.ChatTurnStored(
                seq=seq, turn=event.turn, source=event.source, segment=event.segment, id=event.id
            )
        case events.ChatStarted(answer, model, id):
            return wire.ChatStarted(seq=seq, answer=answer, model=model, id=id)
        case events.ChatDelta(answer, text):
            return wire.ChatDelta(seq=seq, answer=answer, text=text)
        case events.ChatDone():
            return wire.ChatDone(
                seq=seq,
                answer=event.answer,
                text=event.text,
                finish_reason=event.finish_reason,
                usage=event.usage,
                times=event.times,
                model=event.model,
            )
        case events.ChatCancelled(answer, text, reason):
            return wire.ChatCancelled(seq=seq, answer=answer, text=text, reason=reason)
        case events.ChatFailed(answer, text, error):
            return wire.ChatFailed(
                seq=seq,
                answer=answer,
                text=text,
                code=error.code,
                message=error.message,
                retryable=error.retryable,
            )
        case _:
            assert_never(event)


def _ms(seconds: float) -> float:
    """Milliseconds are as fine as any time that is shown."""
    return round(seconds, 3)
