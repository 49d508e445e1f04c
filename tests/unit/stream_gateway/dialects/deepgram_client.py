"""One Deepgram socket without a gateway: events of the session in, messages out."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from bus.contract.client_protocol import Limits, StageTimes
from bus.contract.work import Word
from stream_gateway.dialects.base import Action, Handshake, Later
from stream_gateway.dialects.deepgram import DeepgramDialect
from stream_gateway.session import events

RAW = "encoding=linear16&sample_rate=16000&interim_results=true"
LIMITS = Limits(max_frame_bytes=1_000_000, max_session_s=60.0, idle_timeout_s=120.0, max_buffered_audio_s=30.0)
TIMES = StageTimes(
    endpoint_s=0.1, queue_s=0.2, batch_wait_s=0.3, encode_s=0.4, decode_s=0.5, publish_s=0.6, total_s=0.7
)
SECOND = bytes(32_000)


def some_words(text: str, start_s: float, word_s: float = 0.5) -> tuple[Word, ...]:
    spelled = enumerate(text.split())
    return tuple(Word(word, start_s + at * word_s, start_s + (at + 1) * word_s, 0.8) for at, word in spelled)


class Client:
    """Opened with a query; the session has started."""

    def __init__(self, query: str = RAW, *, channels: int = 1) -> None:
        handshake = Handshake(
            path="/v1/listen",
            query=parse_qs(query, keep_blank_values=True),
            limits=LIMITS,
            opened_at="2026-01-02T03:04:05.678Z",
        )
        self.dialect = DeepgramDialect(handshake)
        (self.start,) = self.dialect.on_open()
        assert self.see(events.Started("s1", "base", channels)) == []

    def see(self, event: events.SessionEvent) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.dialect.render(event)]

    def says(self, message: object) -> list[Action]:
        return list(self.dialect.on_text(json.dumps(message)))

    def hears(self, data: bytes = SECOND) -> list[dict[str, Any]]:
        """Audio; returns what is answered before it is taken."""
        return spelled(self.dialect.on_binary(data))

    def begins(self, segment: int, start_s: float, *, channel: int = 0) -> list[dict[str, Any]]:
        return self.see(events.SpeechStarted(segment, channel, start_s))

    def partial(self, segment: int, text: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        words = some_words(text, start_s)
        return self.see(events.Partial(segment, 0, start_s, end_s, "", text, "en", 0.1, words))

    def ends(
        self, segment: int, text: str, start_s: float, end_s: float, *, channel: int = 0, reason: Any = "silence"
    ) -> list[dict[str, Any]]:
        """The end of an utterance and its final."""
        assert self.see(events.SpeechEnded(segment, channel, end_s, reason)) == []
        words = some_words(text, start_s)
        return self.see(events.Final(segment, channel, start_s, end_s, text, words, "en", "base", TIMES))


def spelled(actions: Sequence[Action]) -> list[dict[str, Any]]:
    """What the client reads of it, once it is its turn."""
    return [json.loads(text) for action in actions if isinstance(action, Later) for text in action.spell()]


def spoken(message: dict[str, Any]) -> str:
    transcript: str = message["channel"]["alternatives"][0]["transcript"]
    return transcript


def place(message: dict[str, Any]) -> tuple[float, float]:
    return message["start"], message["duration"]
