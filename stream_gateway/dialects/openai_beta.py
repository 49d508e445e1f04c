"""The names that OpenAI Realtime had in its beta: the same session, spelled as clients of then know it."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from stream_gateway.dialects.openai_report import transcription_report, turn_detection_report
from stream_gateway.dialects.openai_session import (
    AudioPatch,
    FormatPatch,
    InputPatch,
    MaxTokens,
    SessionPatch,
    Settings,
    TranscriptionPatch,
    TurnDetectionPatch,
)
from stream_gateway.dialects.openai_wire import Event

_Format = Literal["pcm16", "g711_ulaw", "g711_alaw"]
_FORMATS: Final[Mapping[_Format, FormatPatch]] = {
    "pcm16": FormatPatch(),
    "g711_ulaw": FormatPatch(type="audio/pcmu"),
    "g711_alaw": FormatPatch(type="audio/pcma"),
}
_FORMAT_NAMES: Final = {audio.type: name for name, audio in _FORMATS.items()}
_RENAMED: Final = {
    "conversation.item.added": "conversation.item.created",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
}
_UNKNOWN_THEN: Final = "conversation.item.done"


class BetaPatch(msgspec.Struct):
    """What of a session changes, flat."""

    input_audio_format: _Format | None | UnsetType = UNSET
    input_audio_transcription: TranscriptionPatch | None | UnsetType = UNSET
    turn_detection: TurnDetectionPatch | None | UnsetType = UNSET
    instructions: str | None | UnsetType = UNSET
    max_response_output_tokens: MaxTokens | None | UnsetType = UNSET
    model: str | None = None

    def patch(self, kind: Literal["realtime", "transcription"] | None) -> SessionPatch:
        """The same in the names of today."""
        audio_format = self.input_audio_format
        return SessionPatch(
            type=kind,
            audio=AudioPatch(
                input=InputPatch(
                    format=_FORMATS[audio_format] if isinstance(audio_format, str) else audio_format,
                    transcription=self.input_audio_transcription,
                    turn_detection=self.turn_detection,
                )
            ),
            model=self.model,
            instructions=self.instructions,
            max_output_tokens=self.max_response_output_tokens,
        )


def is_beta(headers: Mapping[str, str]) -> bool:
    """Whether a client asks for it, by header or by subprotocol."""
    offered = headers.get("sec-websocket-protocol", "").replace(" ", "").split(",")
    return "realtime=v1" in headers.get("openai-beta", "") or "openai-beta.realtime-v1" in offered


def beta_report(settings: Settings, session_id: str) -> Event:
    """The full effective session, flat."""
    report: Event = {
        "id": session_id,
        "object": "realtime.session" if settings.kind == "realtime" else "realtime.transcription_session",
        "modalities": ["text"],
        "input_audio_format": _FORMAT_NAMES[settings.format.type],
        "turn_detection": turn_detection_report(settings),
    }
    if settings.transcription is not None:
        report["input_audio_transcription"] = transcription_report(settings.transcription)
    if settings.kind == "transcription":
        return report
    return report | {
        "model": settings.model,
        "instructions": settings.instructions,
        "max_response_output_tokens": settings.max_output_tokens,
        "tools": [],
        "tool_choice": "none",
    }


def renamed(event: Event) -> Event | None:
    """An event in the names of then; None for one that there was not."""
    kind = str(event["type"])
    if kind == _UNKNOWN_THEN:
        return None
    event = event | {"type": _RENAMED.get(kind, kind)}
    if "item" in event:
        event["item"] = _item(cast(Event, event["item"]))
    if "response" in event:
        response = dict(cast(Event, event["response"]))
        response["modalities"] = response.pop("output_modalities")
        response["output"] = [_item(item) for item in cast(Sequence[Event], response["output"])]
        event["response"] = response
    return event


def _item(item: Event) -> Event:
    content = cast(Sequence[Event], item["content"])
    return item | {"content": [part | {"type": "text"} if part["type"] == "output_text" else part for part in content]}
