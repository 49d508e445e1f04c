"""A service that can resume, as far as a client can tell: what it stores outlives its connections. Sans I/O."""

from bus.contract.client_protocol import (
    AudioCommit,
    AudioEnd,
    ChatSend,
    ClientMessage,
    ServerEvent,
    SessionResume,
    SessionStart,
    TranscriptFinal,
)
from tests.unit.clients.events import GRANT, committed, ended, final, resumed, started, turn_stored


class ResumableService:
    """One session of 16-bit mono. Each `bytes_per_final` of audio are an utterance, stored at once."""

    def __init__(self, *, bytes_per_final: int = 32_000, max_frame_bytes: int = 65_536) -> None:
        self._bytes_per_final = bytes_per_final
        self._max_frame_bytes = max_frame_bytes
        self._seq = 0
        self._stored = 0
        self.audio = bytearray()
        """All of it, as the session has it: what was sent twice is there once."""
        self.commits: set[int] = set()
        """Where an utterance was ended by hand, in bytes."""
        self.turns: list[tuple[str | None, str]] = []
        self.resumes: list[SessionResume] = []
        self.has_ended = False

    def connect(self, first: ClientMessage | bytes) -> list[ServerEvent]:
        """Take the first frame of a connection; what an earlier one brings is no longer to be given here."""
        if isinstance(first, SessionStart):
            return [started(self.next_seq(), grant=GRANT, max_frame_bytes=self._max_frame_bytes)]
        assert isinstance(first, SessionResume)
        assert (first.session, first.token) == ("s1", GRANT.token)
        self.resumes.append(first)
        self._seq = first.seq
        self.has_ended = False
        missed = [self._final(segment) for segment in range(first.segments[0] + 1, self._stored + 1)]
        done_bytes = max(first.offset * 2, self._stored * self._bytes_per_final)
        del self.audio[done_bytes:]
        self.commits = {place for place in self.commits if place <= done_bytes}
        offset = done_bytes // 2
        return [*missed, resumed(self.next_seq(), audio_offset=offset, max_frame_bytes=self._max_frame_bytes)]

    def receive(self, frame: ClientMessage | bytes) -> list[ServerEvent]:
        """Take a frame of the newest connection."""
        match frame:
            case bytes():
                self.audio += frame
                return self._finals_due()
            case AudioCommit():
                self.commits.add(len(self.audio))
            case ChatSend(id=name, text=text):
                if (name, text) not in self.turns:
                    self.turns.append((name, text))
                return [turn_stored(self.next_seq(), turn=len(self.turns), name=name)]
            case AudioEnd():
                self.has_ended = True
                return [ended(self.next_seq(), segments=self._stored)]
            case _:
                raise AssertionError(f"not expected: {type(frame)}")
        return []

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _finals_due(self) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        while len(self.audio) >= (self._stored + 1) * self._bytes_per_final:
            self._stored += 1
            offset = self._stored * self._bytes_per_final // 2
            events += [self._final(self._stored), committed(self.next_seq(), offset)]
        return events

    def _final(self, segment: int) -> TranscriptFinal:
        return final(self.next_seq(), segment=segment, text=f"This is segment {segment}.")
