"""Deepgram's live protocol, as its SDKs speak it on `/v1/listen` (docs/compatibility.md)."""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import UNSET

from bus.contract.client_protocol import AudioCommit, AudioEnd, SessionStart
from bus.contract.errors import BadContainer, ClientTooSlow, Draining, HarkenError, IdleTimeout, SessionTooLong
from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.dialects.base import Action, Audio, AudioConfigure, Awake, Handshake, Later, Reply
from stream_gateway.dialects.deepgram_channel import Channel
from stream_gateway.dialects.deepgram_messages import (
    Configure,
    ConfigureFailure,
    ConfigureSuccess,
    Error,
    Metadata,
    ModelInfo,
    ResultsMetadata,
    ServerMessage,
    spelled,
)
from stream_gateway.dialects.deepgram_query import Wishes, read_query
from stream_gateway.session import events
from stream_gateway.session.config import MAX_HOTWORDS, MAX_HOTWORDS_CHARS, hotwords_fit

PATH: Final = "/v1/listen"
_IDLE_TIMEOUT_S = 10.0
_OURS = 4000
"""Close codes from here on have the meaning that an application gives them."""
_ECHOED_CHARS = 1_000
"""Of a message that is none: replies wait for their reader, and are not to be as long as frames may be."""
_MESSAGES = "KeepAlive, Finalize, CloseStream and Configure"


class _Tag(msgspec.Struct):
    """Nothing else of a client's message means anything here."""

    type: str


_tag_decoder = msgspec.json.Decoder(_Tag)
_configure_decoder = msgspec.json.Decoder(Configure)


class DeepgramDialect:
    """Counts the audio of one socket, and keeps what each channel has shown.

    What a client has been shown is known where messages are spelled, which may be long after the audio was read: what
    depends on it is spelled there too.
    """

    starts_late = False
    may_never_speak = False
    can_resume = False
    read_apart = None
    idle_timeout_s: float | None = _IDLE_TIMEOUT_S

    def __init__(self, handshake: Handshake) -> None:
        self.offset_rate_hz = SAMPLE_RATE_HZ
        self._handshake = handshake
        self._wishes: Wishes
        """Changed where messages are spelled, by them."""
        self._start: SessionStart
        """What the session was asked for, up to now."""
        self._request_id = ""
        self._channels: tuple[Channel, ...] = ()
        self._audio_bytes = 0
        self._hash = sha256()
        self._heard_to_s = 0.0
        """Audio whose speech was all shown."""
        self._silence_waits = False
        """To be spelled: a second word about silence can wait until the first one is out, for a slow reader's sake."""

    def on_open(self) -> Sequence[Action]:
        """Everything is in the query: the session starts."""
        self._wishes = read_query(self._handshake.query)
        self._start = self._wishes.start
        return (self._start,)

    def on_text(self, text: str) -> Sequence[Action]:
        """Read a control message; what is none is answered, and never fatal."""
        try:
            kind = _tag_decoder.decode(text).type
        except (msgspec.DecodeError, RecursionError):
            kind = ""
        match kind:
            case "KeepAlive":
                return (Awake(),)
            case "Finalize":
                return (Awake(), AudioCommit())
            case "CloseStream":
                return (AudioEnd(),)
            case "Configure":
                return (Awake(), *self._configure(text))
            case _:
                return (Awake(), _schema_error(text, f"must be a JSON object whose type is one of {_MESSAGES}"))

    def on_binary(self, data: bytes) -> Sequence[Action]:
        """Audio, or its end if there is none in it. All that came before was looked at for speech."""
        if not data:
            return (AudioEnd(),)
        before_bytes, bytes_per_s = self._audio_bytes, self._wishes.bytes_per_s
        self._audio_bytes += len(data)
        self._hash.update(data)
        awaits_end = any(channel.awaits_end for channel in self._channels)
        if bytes_per_s is None or self._silence_waits or not awaits_end:
            return (Audio(data),)
        self._silence_waits = True
        return (Later(partial(self._spell_silence, before_bytes / bytes_per_s)), Audio(data))

    def render(self, event: events.SessionEvent) -> Sequence[str]:
        """Spell one session event; most that is not of speech has no spelling here."""
        return [spelled(message) for message in self._translate(event)]

    def close(self, code: int, reason: str) -> tuple[int, str]:
        """Ours are not known there: what the client did wrong is 1008, what the socket may be opened anew for 1011."""
        match code:
            case IdleTimeout.close_code:
                return 1011, "NET-0001: neither audio nor a message came for too long"
            case _ if reason == BadContainer.code:
                return 1008, "DATA-0000: the audio could not be decoded"
            case SessionTooLong.close_code | ClientTooSlow.close_code:
                return 1011, reason
            case _ if code >= _OURS:
                return 1008, reason
            case _:
                return code, reason

    def _translate(self, event: events.SessionEvent) -> Sequence[ServerMessage]:
        match event:
            case events.Started():
                self._begin(event)
            case events.SpeechStarted():
                return self._channels[event.channel].on_speech_started(event)
            case events.SpeechEnded():
                self._channels[event.channel].on_speech_ended(event)
            case events.Partial():
                return self._channels[event.channel].on_partial(event)
            case events.Final() | events.Failed():
                return self._channels[event.channel].on_final(event, self._heard_to_s)
            case events.Committed(sample):
                return self._quiet(sample / SAMPLE_RATE_HZ)
            case events.Flushed(sample):
                return [
                    message for channel in self._channels for message in channel.on_flushed(sample / SAMPLE_RATE_HZ)
                ]
            case events.Ended():
                return self._end(event)
            case events.Fault(error, True):
                return self._fault(error)
            case _:
                pass  # nothing of a chat, and of pauses and drains nothing that a client there knows
        return ()

    def _begin(self, event: events.Started) -> None:
        self._request_id = event.session
        model = ModelInfo(name=event.model, version="1", arch=event.model)
        metadata = ResultsMetadata(request_id=event.session, model_info=model, model_uuid=event.model)
        self._channels = tuple(
            Channel(index, event.channels, wishes=self._wishes, metadata=metadata) for index in range(event.channels)
        )

    def _configure(self, text: str) -> Sequence[Action]:
        try:
            changes = _configure_decoder.decode(text)
        except msgspec.DecodeError:
            return (_schema_error(text, "of type Configure has keyterms, a list of text, and features, true or false"),)
        keyterms = changes.keyterms
        if keyterms is not None and not hotwords_fit(keyterms):
            return (Later(self._refuse_keyterms),)
        actions: list[Action] = []
        if keyterms is not None:
            self._start = msgspec.structs.replace(self._start, hotwords=keyterms)
            actions.append(AudioConfigure(self._start))
        return (*actions, Later(partial(self._configured, changes)))

    def _configured(self, changes: Configure) -> Sequence[str]:
        self._wishes = self._wishes.with_features(changes.features or {})
        for channel in self._channels:
            channel.wishes = self._wishes
        keyterms = UNSET if changes.keyterms is None else changes.keyterms
        return (spelled(ConfigureSuccess(request_id=self._request_id, keyterms=keyterms)),)

    def _refuse_keyterms(self) -> Sequence[str]:
        failure = ConfigureFailure(
            request_id=self._request_id,
            code="CONFIGURE_KEYTERM_LIMIT_EXCEEDED",
            description=f"keyterms may be {MAX_HOTWORDS} of {MAX_HOTWORDS_CHARS} characters in all",
        )
        return (spelled(failure),)

    def _spell_silence(self, upto_s: float) -> Sequence[str]:
        self._silence_waits = False
        return [spelled(message) for message in self._quiet(upto_s)]

    def _quiet(self, upto_s: float) -> Sequence[ServerMessage]:
        self._heard_to_s = max(self._heard_to_s, upto_s)
        return [message for channel in self._channels for message in channel.after_silence(self._heard_to_s)]

    def _end(self, event: events.Ended) -> Sequence[ServerMessage]:
        metadata = Metadata(
            transaction_key="deprecated",
            request_id=self._request_id,
            sha256=self._hash.hexdigest(),
            created=self._handshake.opened_at,
            duration=round(event.audio_s, 3),
            channels=len(self._channels),
        )
        return [*(message for channel in self._channels for message in channel.on_end(event.audio_s)), metadata]

    def _fault(self, error: HarkenError) -> Sequence[ServerMessage]:
        """What the close alone says there needs no message: a client connects again."""
        if isinstance(error, IdleTimeout | Draining):
            return ()
        return (Error(variant=error.code, description=error.message),)


def _schema_error(text: str, what: str) -> Reply:
    error = Error(variant="SchemaError", description=f"a text message {what}", message=text[:_ECHOED_CHARS])
    return Reply(spelled(error))
