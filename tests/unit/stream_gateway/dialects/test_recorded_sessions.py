"""One whole session of each dialect with the real session machine, as it is on the wire, pinned line by line.

`>` is what the client sends, `<` what it reads; audio is shown by its length. A file changes only where a protocol of
others is to be spoken differently: then it is written by hand, from what the failure shows.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bus.contract.client_protocol import AudioCommit, AudioEnd, Limits, SessionStart
from stream_gateway.dialects.base import Audio, Awake, Dialect, Handshake, Later, Reply
from stream_gateway.dialects.deepgram import DeepgramDialect
from stream_gateway.dialects.whisper_live import WhisperLiveDialect
from stream_gateway.session.effects import Decode
from tests.unit.stream_gateway.session.builders import QUIET, SPEECH, Harness, of_type

RECORDED = Path(__file__).parent / "recorded"
LIMITS = Limits(max_frame_bytes=1_000_000, max_session_s=60.0, idle_timeout_s=120.0, max_buffered_audio_s=30.0)
FRAME_S = 0.256


class Wire:
    """A socket without a network: what passes over it is kept."""

    def __init__(self, dialect: Dialect, *, bytes_per_s: int) -> None:
        self.lines: list[str] = []
        self._dialect = dialect
        self._frame = bytes(round(bytes_per_s * FRAME_S))
        self._harness = Harness(partials=True)
        self._shown = 0
        self._perform(dialect.on_open)

    def text(self, text: str) -> None:
        self.lines.append(f"> {text}")
        self._perform(lambda: self._dialect.on_text(text))

    def binary(self, data: bytes, score: float = QUIET, *, shown: str = "") -> None:
        self.lines.append(f"> {shown or f'({len(data)} bytes)'}")
        self._perform(lambda: self._dialect.on_binary(data), score)

    def hear(self, score: float, frames: int) -> None:
        for _ in range(frames):
            self.binary(self._frame, score, shown=f"({FRAME_S} s of {'speech' if score == SPEECH else 'silence'})")

    def answer(self, text: str) -> None:
        """A worker answers the newest window, and a final is stored."""
        decode = of_type(self._harness.effects, Decode)[-1]
        heard = replace(decode, start_sample=decode.start_sample + decode.prior_samples)
        self._harness.answer(heard, text)
        if decode.kind == "final":
            self._harness.store()
        self._show()

    def _perform(self, read: Callable[[], object], score: float = QUIET) -> None:
        harness = self._harness
        actions = read()
        assert isinstance(actions, tuple | list)
        for action in actions:
            match action:
                case SessionStart():
                    harness.start()
                case AudioCommit():
                    harness.do(lambda: harness.session.on_commit(harness.now))
                case AudioEnd():
                    harness.do(lambda: harness.session.on_audio_end(harness.now))
                case Audio():
                    harness.hear(score, seconds=FRAME_S)
                case Awake():
                    harness.session.on_bytes(harness.now)
                case Reply(text):
                    self._show()
                    self.lines.append(f"< {text}")
                case Later(spell):
                    self._show()
                    self.lines += [f"< {text}" for text in spell()]
        self._show()

    def _show(self) -> None:
        events = self._harness.events()
        for event in events[self._shown :]:
            self.lines += [f"< {text}" for text in self._dialect.render(event)]
        self._shown = len(events)
        for close in self._harness.closes():
            code, reason = self._dialect.close(close.code, close.reason)
            self.lines.append(f"< (close {code} {reason})")


def recorded(name: str) -> list[str]:
    return (RECORDED / name).read_text(encoding="utf-8").splitlines()


def test_a_session_of_a_deepgram_client() -> None:
    query = {
        "encoding": ["linear16"],
        "sample_rate": ["16000"],
        "interim_results": ["true"],
        "punctuate": ["true"],
        "vad_events": ["true"],
        "utterance_end_ms": ["1000"],
    }
    handshake = Handshake(path="/v1/listen", query=query, limits=LIMITS, opened_at="2026-01-02T03:04:05.678Z")
    wire = Wire(DeepgramDialect(handshake), bytes_per_s=32_000)
    wire.text(json.dumps({"type": "KeepAlive"}))
    wire.hear(QUIET, 2)
    wire.hear(SPEECH, 3)
    wire.answer("Hello,")
    wire.hear(SPEECH, 2)
    wire.answer("Hello, wor")
    wire.hear(QUIET, 2)
    wire.answer("Hello, world.")
    wire.hear(QUIET, 4)
    wire.hear(SPEECH, 3)
    wire.text(json.dumps({"type": "Finalize"}))
    wire.answer("How are you?")
    wire.text(json.dumps({"type": "Finalize"}))
    wire.text("hello?")
    wire.hear(QUIET, 2)
    wire.text(json.dumps({"type": "CloseStream"}))
    assert wire.lines == recorded("deepgram.txt"), "\n".join(wire.lines)


def test_a_session_of_a_whisper_live_client() -> None:
    wire = Wire(WhisperLiveDialect(Handshake(path="/", limits=LIMITS)), bytes_per_s=64_000)
    wire.text(json.dumps({"uid": "c0ffee", "language": None, "task": "transcribe", "model": "small", "use_vad": True}))
    wire.hear(QUIET, 2)
    wire.hear(SPEECH, 3)
    wire.answer("Hello,")
    wire.hear(SPEECH, 2)
    wire.answer("Hello, wor")
    wire.hear(QUIET, 2)
    wire.answer("Hello, world.")
    wire.hear(QUIET, 4)
    wire.hear(SPEECH, 3)
    wire.answer("How are")
    wire.binary(b"END_OF_AUDIO", shown="(END_OF_AUDIO)")
    wire.answer("How are you?")
    assert wire.lines == recorded("whisper_live.txt"), "\n".join(wire.lines)
