"""What was said, as items of an OpenAI Realtime conversation.

An item is one turn of the user. With turn detection it is one segment. Where the client commits its turns it is all
segments since the last commit, for long ones are cut; an item that came with its own audio is all that was heard in it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from stream_gateway.chat.commands import TurnRef
from stream_gateway.dialects.openai_items import Item, Items, Names, spoken_part, told
from stream_gateway.dialects.openai_session import Settings
from stream_gateway.dialects.openai_wire import Event, error_event

MIN_COMMIT_MS = 100
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class Commit(NamedTuple):
    """Why a commit was asked of the session: by the client, around audio that came in an item, or at its end."""

    why: Literal["client", "before_item", "item"]
    event_id: str | None = None


@dataclass(slots=True)
class _Segment:
    stable: str = field(default="", repr=False)
    """What of it went out as deltas."""
    is_open: bool = True
    text: str | None = field(default=None, repr=False)
    """None until its end is known."""


@dataclass(slots=True)
class _Spoken:
    item: Item
    part: int = 0
    """Which part of the content it is."""
    segments: dict[int, _Segment] = field(default_factory=dict)
    seconds: float = 0.0
    failure: Event | None = None
    committed: bool = False
    announced: bool = False
    """Whether the client was told that speech began, and is to be told that it stopped."""
    said: bool = False
    """Whether there were deltas."""
    shown: str = field(default="", repr=False)
    """Deltas of what was taken back to be heard anew."""
    start_s: float = 0.0
    end_s: float = 0.0
    """Of what was heard."""


class SpokenItems:
    """Translates what the session tells of speech. All inputs in the order in which the client is told."""

    def __init__(self, settings: Settings, *, names: Names, items: Items) -> None:
        self._follow(settings)
        self._names = names
        self._items = items
        self._by_segment: dict[int, _Spoken] = {}
        self._uncommitted: _Spoken | None = None
        """What the client has said and not committed yet."""
        self._given: _Spoken | None = None
        """The item whose own audio is being heard."""
        self._commits: deque[Commit] = deque()

    @property
    def uncommitted_turns(self) -> tuple[TurnRef, ...]:
        """What of the audio that was not committed is a turn already, because it was cut."""
        return tuple(self._uncommitted.item.refs) if self._uncommitted is not None else ()

    def configure(self, settings: Settings) -> list[Event]:
        """From here on turns are found as `settings` have it.

        One that is open goes on, and is the client's to commit; what the client did not commit is heard anew.
        """
        detected = self._detects
        self._follow(settings)
        if detected and not self._detects:
            still_open = (one for one in self._by_segment.values() if not one.committed)
            self._uncommitted = next(still_open, self._uncommitted)
        spoken = self._uncommitted
        if detected or not self._detects or spoken is None:
            return []
        self._take_back_open(spoken)
        if spoken.segments:
            self._uncommitted = None
            return self._commit(spoken)
        if not (spoken.announced or spoken.said):
            self._uncommitted = None
        return []

    def _take_back_open(self, spoken: _Spoken) -> None:
        """The client knows what was told of it: more of it goes on there."""
        for segment, state in list(spoken.segments.items()):
            if state.is_open:
                del spoken.segments[segment], self._by_segment[segment]
                spoken.item.refs.remove(TurnRef("segment", segment))
                spoken.shown = state.stable

    def _follow(self, settings: Settings) -> None:
        detection = settings.turn_detection
        self._detects = detection is not None
        self._padding_s = detection.prefix_padding_ms / 1000 if detection is not None else 0.0
        self._transcribes = settings.kind == "transcription" or settings.transcription is not None

    def commit(self, commit: Commit) -> None:
        """The session is asked to commit, and will tell by `on_commit_done`."""
        self._commits.append(commit)

    def begin_item(self, item: Item, part: int) -> None:
        """What is heard from now on to the end of the commit is in this item, which the client knows."""
        self._given = _Spoken(item, part)

    def on_started(self, segment: int, start_s: float) -> list[Event]:
        """Speech began, or audio where the client commits."""
        spoken = self._given
        events: list[Event] = []
        if spoken is None:
            spoken = self._uncommitted or self._new(start_s)
            self._uncommitted = None if self._detects else spoken
            events = self._announce(spoken) if self._detects else []
        spoken.segments[segment], spoken.shown = _Segment(spoken.shown), ""
        spoken.item.refs.append(TurnRef("segment", segment))
        self._by_segment[segment] = spoken
        return events

    def on_ended(self, segment: int, end_s: float) -> list[Event]:
        """Speech ended: where turns are detected, so did the turn."""
        spoken = self._by_segment[segment]
        spoken.segments[segment].is_open, spoken.end_s = False, end_s
        return self._commit(spoken) if self._detects and spoken is not self._given else []

    def on_cleared(self, segment: int) -> None:
        """An open segment was taken back."""
        self._by_segment.pop(segment, None)

    def cleared(self) -> list[Event]:
        """Everything that was not committed is taken back."""
        if self._uncommitted is not None:
            for segment in self._uncommitted.segments:
                self._by_segment.pop(segment, None)
            self._uncommitted = None
        return [_buffer("cleared")]

    def on_commit_done(self, *, ended: bool) -> list[Event]:
        """The oldest commit that was asked for is carried out."""
        commit = self._commits.popleft()
        given, spoken = self._given, self._uncommitted
        match commit.why:
            case "before_item":
                return []
            case "item":
                assert given is not None
                self._given = None
                given.committed = True
                return self._finish(given)
            case _ if not self._detects and spoken is not None:
                self._uncommitted = None
                return self._commit(spoken)
            case _:
                return [] if ended and self._detects else [nothing_to_commit(commit.event_id)]

    def on_partial(self, segment: int, stable: str) -> list[Event]:
        """More of an open segment is sure."""
        spoken = self._by_segment.get(segment)
        return self._grown(spoken, segment, stable) if spoken is not None else []

    def on_final(self, segment: int, text: str, seconds: float) -> list[Event]:
        """The text of a segment, which may be another one than was sure."""
        spoken = self._by_segment.pop(segment, None)
        if spoken is None:
            return []
        events = self._grown(spoken, segment, text)
        spoken.segments[segment].text = text
        spoken.seconds += seconds
        return events + self._finish(spoken)

    def on_failed(self, segment: int, code: str, message: str) -> list[Event]:
        """A segment has no text."""
        spoken = self._by_segment.pop(segment, None)
        if spoken is None:
            return []
        spoken.segments[segment].text = ""
        spoken.failure = {"type": "server_error", "code": code, "message": message}
        return self._finish(spoken)

    def _new(self, start_s: float) -> _Spoken:
        return _Spoken(Item(self._names.new("item"), "user", [spoken_part()]), start_s=start_s)

    def _announce(self, spoken: _Spoken) -> list[Event]:
        if spoken.announced:
            return []
        spoken.announced = True
        start_ms = max(0, round((spoken.start_s - self._padding_s) * 1000))
        return [_buffer("speech_started", item_id=spoken.item.id, audio_start_ms=start_ms)]

    def _commit(self, spoken: _Spoken) -> list[Event]:
        spoken.committed = True
        events: list[Event] = []
        if spoken.announced:
            end_ms = round(spoken.end_s * 1000)
            events = [_buffer("speech_stopped", item_id=spoken.item.id, audio_end_ms=end_ms)]
        previous = self._items.insert(spoken.item)
        events.append(_buffer("committed", item_id=spoken.item.id, previous_item_id=previous))
        return [*events, *told(spoken.item, previous), *self._finish(spoken)]

    def _grown(self, spoken: _Spoken, segment: int, text: str) -> list[Event]:
        """The delta to `text`, which can only be told if it goes on where the last delta ended."""
        state = spoken.segments[segment]
        if not self._transcribes or not text.startswith(state.stable) or text == state.stable:
            return []
        delta = text[len(state.stable) :]
        if not state.stable and spoken.said:
            delta = " " + delta
        state.stable, spoken.said = text, True
        return [{"type": f"{_TRANSCRIPTION}.delta", **_at(spoken), "delta": delta}]

    def _finish(self, spoken: _Spoken) -> list[Event]:
        """The one `completed` or `failed` of an item, once all of it is known."""
        texts = [segment.text for segment in spoken.segments.values()]
        if not spoken.committed or None in texts:
            return []
        transcript = _joined(texts)
        spoken.item.content[spoken.part]["transcript"] = transcript
        if not self._transcribes:
            return []
        if spoken.failure is not None:
            return [{"type": f"{_TRANSCRIPTION}.failed", **_at(spoken), "error": spoken.failure}]
        usage = {"type": "duration", "seconds": round(spoken.seconds, 3)}
        return [{"type": f"{_TRANSCRIPTION}.completed", **_at(spoken), "transcript": transcript, "usage": usage}]


def nothing_to_commit(event_id: str | None) -> Event:
    """The answer to a commit of too little."""
    return error_event(
        f"Error committing input audio buffer: buffer too small. Expected at least {MIN_COMMIT_MS}ms of audio.",
        code="input_audio_buffer_commit_empty",
        event_id=event_id,
    )


def _joined(texts: Sequence[str | None]) -> str:
    return " ".join(text for text in texts if text)


def _at(spoken: _Spoken) -> Event:
    return {"item_id": spoken.item.id, "content_index": spoken.part}


def _buffer(what: str, **fields: object) -> Event:
    return {"type": f"input_audio_buffer.{what}", **fields}
