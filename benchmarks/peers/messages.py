"""What the peers' messages say. Pure: text in, meaning out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Ready:
    """Audio may come."""


@dataclass(frozen=True, slots=True)
class Text:
    """All that is shown of the session so far, what may still change included."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more will come."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The session is not served, or no longer."""

    reason: str


Meaning = Ready | Text | Ended | Refused | None
"""None: nothing that matters here."""
Read = Callable[[str | bytes], Meaning]


def read_whisper_live(message: str | bytes) -> Meaning:
    """One message of WhisperLive's server. Each has the last segments, so ask for more than a session can have."""
    match _decoded(message):
        case {"message": "SERVER_READY"}:
            return Ready()
        case {"message": "DISCONNECT"}:
            return Ended()
        case {"status": "WAIT" | "ERROR" as status, **rest}:
            return Refused(f"{status} {rest.get('message', '')}".strip())
        case {"segments": [*segments]}:
            return _text([one.get("text") for one in segments])
        case Refused() as refused:
            return refused
    return None


def read_whisper_live_kit(message: str | bytes) -> Meaning:
    """One message of WhisperLiveKit's server in its full mode: all lines, and the words that are not agreed yet."""
    match _decoded(message):
        case {"type": "config"}:
            return Ready()
        case {"type": "ready_to_stop"}:
            return Ended()
        case {"error": str(reason)} if reason:
            return Refused(reason)
        case {"lines": [*lines], **rest}:
            return _text([*(one.get("text") for one in lines), rest.get("buffer_transcription")])
        case Refused() as refused:
            return refused
    return None


def _text(parts: Iterable[Any]) -> Text:
    return Text(" ".join(str(part).strip() for part in parts if part))


def _decoded(message: str | bytes) -> Any:
    try:
        return msgspec.json.decode(message)
    except msgspec.DecodeError:
        return Refused("sent something that is no JSON")


def give_up_at(audio_s: float, changed_s: float | None, *, quiet_s: float | None, patience_s: float) -> float:
    """When to stop listening to a session whose audio lasts `audio_s`, in seconds since it began.

    `patience_s` after the audio has ended, or, for a server that never says that it is done, once it has shown nothing
    new (last at `changed_s`) for `quiet_s`. One that has shown nothing yet (None) is late, not done.
    """
    latest_s = audio_s + patience_s
    if quiet_s is None or changed_s is None:
        return latest_s
    return min(latest_s, max(audio_s, changed_s) + quiet_s)
