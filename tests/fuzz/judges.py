"""What a client may count on, whatever happens: one judge for each protocol reads every frame that goes out."""

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from bus.contract import client_protocol as wire
from tests.integration.openai_client import nulls
from tests.openai_models import strict_parsers

_DEEPGRAM_OTHERS: Final = (
    "Metadata",
    "SpeechStarted",
    "UtteranceEnd",
    "Error",
    "ConfigureSuccess",
    "ConfigureFailure",
)


class Judge(Protocol):
    """Raises AssertionError."""

    def see(self, text: str) -> None:
        """The next frame."""


class NativeJudge:
    """Numbers without a gap, commits that never go back, one final for each segment."""

    def __init__(self, *, seq: int = 0) -> None:
        """`seq` is that of the last event before."""
        self._seq = seq
        self._offset = 0
        self._ended: set[int] = set()
        self._stable: dict[int, str] = {}

    def see(self, text: str) -> None:
        event = wire.decode_event(text)
        assert event.seq == self._seq + 1, "a number is missing or comes twice"
        self._seq = event.seq
        match event:
            case wire.AudioCommitted(offset=offset):
                assert offset >= self._offset, "a commit goes back"
                self._offset = offset
            case wire.TranscriptPartial(segment=segment, stable=stable, text=running):
                assert segment not in self._ended, "a partial after the final"
                assert stable.startswith(self._stable.get(segment, "")) and running.startswith(stable)
                self._stable[segment] = stable
            case wire.TranscriptFinal(segment=segment) | wire.TranscriptFailed(segment=segment):
                assert segment not in self._ended, "two finals of one segment"
                self._ended.add(segment)
            case _:
                pass


class OpenAiJudge:
    """Every event parses by the strict models of the openai package, where that is installed."""

    def __init__(self, *, is_beta: bool) -> None:
        self._ids: set[str] = set()
        self._parsers = {} if is_beta else strict_parsers()

    def see(self, text: str) -> None:
        event = json.loads(text)
        assert not nulls(event), f"null in {nulls(event)}"
        assert event["event_id"] not in self._ids, "an id comes twice"
        self._ids.add(event["event_id"])
        parser = self._parsers.get(event["type"])
        if parser is not None:
            parser(event)


class DeepgramJudge:
    """Finals tile the audio of each channel; interims begin where the last final ended."""

    def __init__(self) -> None:
        self._final_to_s: dict[int, float] = {}

    def see(self, text: str) -> None:
        message = json.loads(text)
        if message["type"] != "Results":
            assert message["type"] in _DEEPGRAM_OTHERS
            return
        channel = message["channel_index"][0]
        assert abs(message["start"] - self._final_to_s.get(channel, 0.0)) < 0.002, "results do not tile the audio"
        assert message["duration"] >= 0
        for word in message["channel"]["alternatives"][0]["words"]:
            assert message["start"] <= word["start"] <= word["end"], "a word outside its time"
        if message["is_final"]:
            self._final_to_s[channel] = message["start"] + message["duration"]


class WhisperLiveJudge:
    """What is completed stays as it is, and begins no earlier than what was completed before it."""

    def __init__(self) -> None:
        self._completed: list[Mapping[str, Any]] = []

    def see(self, text: str) -> None:
        message = json.loads(text)
        assert "uid" in message
        if "segments" not in message:
            return
        segments = message["segments"]
        assert segments, "clients look at the last of them"
        assert all(one["completed"] for one in segments[:-1]), "only the last may be incomplete"
        for one in segments:
            assert float(one["start"]) <= float(one["end"])
            if one["completed"] and one not in self._completed:
                assert not self._completed or float(one["start"]) >= float(self._completed[-1]["end"])
                self._completed.append(one)
