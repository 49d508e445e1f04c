"""What the application sends in a session: audio, commits, the chat and the end, on whatever socket there is. Pure."""

from typing import Final, assert_never

import msgspec

from bus.contract.client_protocol import (
    AudioCommit,
    AudioEnd,
    ChatCancel,
    ChatCommand,
    ChatConfigure,
    ChatRequest,
    ChatReset,
    ChatSend,
    SessionStart,
    encode_message,
)
from bus.contract.errors import NoChat
from clients.replay import Kind, ReplayBuffer

_SAMPLE_BYTES: Final = {"linear16": 2, "float32": 4, "mulaw": 1, "alaw": 1}
_NAME_PREFIX: Final = "m"


class Outgoing:
    """Takes what is to be sent and gives it frame by frame. One owner.

    With `keeps_sent` what the service has not taken care of is held, and can be sent again from an offset.
    """

    def __init__(
        self, start: SessionStart, *, max_frame_bytes: int, max_bytes: int, start_offset: int, keeps_sent: bool
    ) -> None:
        audio = start.audio
        self._has_audio = audio is not None
        self._has_chat = start.chat is not None
        self._max_frame_bytes = max_frame_bytes
        self._end_is_sent = False
        self.is_ending = False
        """No more may be put."""
        self.replay = ReplayBuffer(
            frame_bytes=1 if audio is None else _SAMPLE_BYTES.get(audio.encoding, 1) * audio.channels,
            max_bytes=max_bytes,
            start_offset=start_offset,
            keeps_sent=keeps_sent,
        )

    @property
    def has_unsent(self) -> bool:
        """Tell whether `next_frame` has anything to give."""
        return self.replay.has_unsent or (self.is_ending and not self._end_is_sent)

    def put_audio(self, data: bytes | memoryview) -> int:
        """Take audio, as much of it as one frame holds and there is room for; gives how many bytes.

        Raises NoChat in a session that has no audio.
        """
        self._check_audio()
        taken = data[: min(self._max_frame_bytes, self.replay.room_bytes)]
        self.replay.put_audio(taken)
        return len(taken)

    def put_commit(self) -> bool:
        """Take the message that ends the open utterance here; False if there is no room. Raises as `put_audio`."""
        self._check_audio()
        text = encode_message(AudioCommit())
        if has_room := self.replay.has_room_for(text):
            self.replay.put_message(text, Kind.PLACE)
        return has_room

    def named(self, command: ChatCommand, *, running: int | None = None) -> ChatCommand:
        """Give the command as it would be put next: with a name, if the service refers to it by one.

        A cancel names the answer that is `running`, so that it stops no other when it has to be sent again.

        Raises NoChat in a session in which nobody answers.
        """
        if not self._has_chat:
            raise NoChat("this session has no chat: open it with chat options")
        if isinstance(command, ChatCancel):
            return msgspec.structs.replace(command, answer=running)
        if not isinstance(command, ChatSend | ChatRequest):
            return command
        return msgspec.structs.replace(command, id=f"{_NAME_PREFIX}{self.replay.messages_put + 1}")

    def has_room_for(self, command: ChatCommand) -> bool:
        """Tell whether the command may be put."""
        return self.replay.has_room_for(encode_message(command))

    def put_command(self, command: ChatCommand) -> None:
        """Take a command that is `named` and for which there is room."""
        self.replay.put_message(encode_message(command), _kind(command))

    def end(self) -> None:
        """Take the end, which goes out behind all that was put. Idempotent."""
        self.is_ending = True

    def next_frame(self) -> bytes | str | None:
        """Give what is to be sent next; None if there is nothing."""
        frame = self.replay.next_frame(self._max_frame_bytes)
        if frame is None and self.is_ending and not self._end_is_sent:
            self._end_is_sent = True
            return encode_message(AudioEnd())
        return frame

    def on_turn_stored(self, name: str | None) -> None:
        """Take what the service says of a turn."""
        self.replay.on_turn_stored(_number(name))

    def on_answer_begun(self, name: str | None) -> None:
        """Take what the service says of an answer."""
        self.replay.on_answer_begun(_number(name))

    def resume(self, offset: int, *, max_frame_bytes: int) -> None:
        """Send on another socket, from `offset` on. ValueError if the audio from there is not held."""
        self._max_frame_bytes = max_frame_bytes
        # A recording that is all there may have been rounded up, and nothing follows that could be out of place.
        self.replay.rewind(min(offset, self.replay.end_offset) if self.is_ending else offset)
        self._end_is_sent = False

    def _check_audio(self) -> None:
        if not self._has_audio:
            raise NoChat("this session has no audio, only chat")


def _kind(command: ChatCommand) -> Kind:
    match command:
        case ChatSend():
            return Kind.TURN
        case ChatRequest() | ChatConfigure():
            return Kind.WISH
        case ChatCancel() | ChatReset():
            return Kind.CHANGE
        case _:
            assert_never(command)


def _number(name: str | None) -> int:
    """Give the number of the message of that name; 0 if it was not named here."""
    number = (name or "").removeprefix(_NAME_PREFIX)
    return int(number) if number.isdecimal() else 0
