"""What every dialect is: a translation between frames of one client protocol and the one session machine."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from bus.contract.client_protocol import AudioCommit, AudioEnd, ChatCommand, SessionStart
from stream_gateway.session.events import SessionEvent

Command: TypeAlias = SessionStart | AudioCommit | AudioEnd | ChatCommand
"""What a client can ask for, in native terms; binary frames are audio in every dialect."""


class Dialect(Protocol):
    """One per socket: it may keep numbering and names, never decisions about audio, segments or recovery."""

    offset_rate_hz: int
    """Rate in which the client counts the samples it has sent; set once its audio format is known."""

    def parse(self, text: str) -> Command:
        """Read one text frame; raises InvalidMessage or UnknownMessageType."""
        ...

    def render(self, event: SessionEvent) -> Sequence[str]:
        """Spell one session event as text frames, in order."""
        ...
