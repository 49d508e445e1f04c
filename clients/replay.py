"""What goes out to the service, in order, and what has to go out again on another socket."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

_MESSAGE_COST_BYTES: Final = 64
"""What a message counts beside its own length, so that short ones are bounded too."""


class Kind(Enum):
    """What a message is, which says when it need not be sent again."""

    PLACE = "place"
    """It belongs to its place in the audio (`audio.commit`): until audio behind it is committed."""
    TURN = "turn"
    """A turn of the user: until it, or a later one, is stored."""
    WISH = "wish"
    """Asks for an answer, or for other options: until an answer was begun, or a turn is stored, that was asked for then
    or later."""
    CHANGE = "change"
    """Stops or forgets something, and nothing tells of it: until anything later was taken up, audio too."""


@dataclass(frozen=True, slots=True)
class _Message:
    number: int
    kind: Kind
    at_byte: int
    """It goes out once all audio before this has."""
    text: str

    @property
    def cost_bytes(self) -> int:
        return len(self.text) + _MESSAGE_COST_BYTES


class ReplayBuffer:
    """Audio by offset, and messages at their places in it. Pure; one owner.

    `next_frame` gives what is to be sent, each thing once; `rewind` begins again from an offset, with the messages that
    are not done. Offsets count the client's sample frames of `frame_bytes` each, from the session's first sample.

    At most `max_bytes` are held, and nothing is dropped: the owner waits while there is no room. With
    `keeps_sent=False` nothing can be sent again, and only what waits to be sent is held.
    """

    def __init__(self, *, frame_bytes: int, max_bytes: int, start_offset: int = 0, keeps_sent: bool = True) -> None:
        self._frame_bytes = frame_bytes
        self._max_bytes = max_bytes
        self._keeps_sent = keeps_sent
        self._audio = bytearray()
        self._start_byte = self._next_byte = start_offset * frame_bytes
        self._sent: deque[_Message] = deque()
        self._unsent: deque[_Message] = deque()
        self._messages_bytes = 0
        self.messages_put = 0
        """Messages put so far, which is the number of the newest."""
        self._backlog_byte = self._backlog_number = 0

    @property
    def held_bytes(self) -> int:
        """Bytes held now, messages included."""
        return len(self._audio) + self._messages_bytes

    @property
    def room_bytes(self) -> int:
        """Bytes of audio that may be put."""
        return max(0, self._max_bytes - self.held_bytes)

    @property
    def start_offset(self) -> int:
        """First whole sample frame that is held."""
        return -(-self._start_byte // self._frame_bytes)

    @property
    def end_offset(self) -> int:
        """Sample frames put so far; half a frame does not count."""
        return self._end_byte // self._frame_bytes

    @property
    def has_unsent(self) -> bool:
        """Tell whether `next_frame` has anything to give."""
        return bool(self._unsent) or self._next_byte < self._end_byte

    @property
    def is_catching_up(self) -> bool:
        """Tell whether something waits to be sent that was held when `rewind` was called."""
        is_behind = bool(self._unsent) and self._unsent[0].number <= self._backlog_number
        return is_behind or self._next_byte < self._backlog_byte

    def has_room_for(self, text: str) -> bool:
        """Tell whether the message may be put. Where nothing is held, any may."""
        return not self.held_bytes or self.held_bytes + len(text) + _MESSAGE_COST_BYTES <= self._max_bytes

    def put_audio(self, data: bytes | memoryview) -> None:
        """Hold audio that follows all before it, at most `room_bytes`. Cut anywhere."""
        self._audio += data

    def put_message(self, text: str, kind: Kind) -> int:
        """Hold a message behind all that was put before; gives its number. Numbers only grow."""
        self.messages_put += 1
        message = _Message(self.messages_put, kind, self._end_byte, text)
        self._unsent.append(message)
        self._messages_bytes += message.cost_bytes
        return message.number

    def next_frame(self, max_bytes: int) -> bytes | str | None:
        """Give what is to be sent next, audio in pieces of at most `max_bytes`; None if there is nothing."""
        end_byte = min(self._end_byte, self._next_byte + max_bytes)
        if self._unsent:
            end_byte = min(end_byte, self._unsent[0].at_byte)
        if self._next_byte < end_byte:
            frame = bytes(self._audio[self._next_byte - self._start_byte : end_byte - self._start_byte])
            self._next_byte = end_byte
            if not self._keeps_sent:
                self._forget_audio(end_byte)
            return frame
        if not self._unsent:
            return None
        message = self._unsent.popleft()
        if self._keeps_sent:
            self._sent.append(message)
        else:
            self._messages_bytes -= message.cost_bytes
        return message.text

    def commit(self, offset: int) -> None:
        """Forget audio before `offset`, and what is done with it. An older offset changes nothing."""
        byte = min(offset * self._frame_bytes, self._next_byte)
        self._forget_audio(byte)
        self._forget_sent(lambda held: held.kind in (Kind.PLACE, Kind.CHANGE) and held.at_byte < byte)

    def on_turn_stored(self, number: int) -> None:
        """Forget the turn of that number, and all that was asked for before it."""
        self._forget_sent(lambda held: held.kind is not Kind.PLACE and held.number <= number)

    def on_answer_begun(self, number: int) -> None:
        """Forget the wish of that number, and what was asked for before it. Turns that are not stored yet stay."""
        self._forget_sent(lambda held: held.kind in (Kind.WISH, Kind.CHANGE) and held.number <= number)

    def on_refused(self) -> None:
        """Forget the oldest wish, if there is one: the service takes them in order, and may have refused it.

        Turns stay until they are stored, for that may come later: one that was refused is refused again.
        """
        refused = next((held for held in self._sent if held.kind is Kind.WISH), None)
        if refused is not None:
            self.on_answer_begun(refused.number)

    def rewind(self, offset: int) -> None:
        """Send again from `offset` on, and all messages that are not done. Places before it are.

        ValueError if that audio is not held.
        """
        if not self.start_offset <= offset <= self.end_offset:
            raise ValueError(f"audio is held from {self.start_offset} to {self.end_offset}, asked from {offset}")
        # What another socket has carried counts as sent, and what this offset is past is done.
        self._sent.extend(self._unsent)
        self._next_byte = self._end_byte
        self.commit(offset)
        self._unsent, self._sent = self._sent, deque()
        self._next_byte = offset * self._frame_bytes
        self._backlog_byte, self._backlog_number = self._end_byte, self.messages_put

    @property
    def _end_byte(self) -> int:
        return self._start_byte + len(self._audio)

    def _forget_audio(self, before_byte: int) -> None:
        size = max(0, before_byte - self._start_byte)
        del self._audio[:size]
        self._start_byte += size

    def _forget_sent(self, is_done: Callable[[_Message], bool]) -> None:
        self._messages_bytes -= sum(held.cost_bytes for held in self._sent if is_done(held))
        self._sent = deque(held for held in self._sent if not is_done(held))
