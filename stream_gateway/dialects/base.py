"""What every dialect is: a translation between frames of one client protocol and the one session machine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from bus.contract.client_protocol import AudioCommit, AudioEnd, Limits, SessionResume, SessionStart
from stream_gateway.chat.commands import ChatInput
from stream_gateway.session.events import SessionEvent

Command: TypeAlias = SessionStart | SessionResume | AudioCommit | AudioEnd | ChatInput
"""What a client can ask for, in native terms where v1 has them."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio in the encoding that `SessionStart` announced."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """A text frame that the session knows nothing of; it goes out in order with what the session tells."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Awake:
    """The client asks for nothing and is there: the session is not idle."""


@dataclass(frozen=True, slots=True)
class Later:
    """Text frames to be spelled when all that was told before is, so in the order in which `render` is called."""

    spell: Callable[[], Sequence[str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AudioClear:
    """Take back the audio since the last turn ended."""


@dataclass(frozen=True, slots=True)
class AudioConfigure:
    """From here on audio is heard as `start` has it: its format, how its turns end, its language, words to listen for.

    The number of channels stays, and so does everything that is not of audio. An open turn goes on, and ends by the new
    rules; but what the client was to end itself is taken back, and heard anew for turns. For dialects that cannot
    resume: the key of a session keeps how it was started.
    """

    start: SessionStart


Action: TypeAlias = Command | Audio | AudioClear | AudioConfigure | Reply | Later | Awake


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a dialect may know of the upgrade."""

    path: str
    """Without the query."""
    query: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case; the first of each. Never to be logged or echoed: a key may be among them."""
    limits: Limits
    opened_at: str = "1970-01-01T00:00:00.000Z"
    """Time of the upgrade, for protocols that tell it: dialects have no clock."""


class Dialect(Protocol):
    """One per socket: it may keep numbering and names, never decisions about audio, segments, turns or recovery."""

    offset_rate_hz: int
    """Rate in which the client counts the samples it has sent; set once its audio format is known."""
    starts_late: bool
    """Whether `SessionStart` may come as late as the client's first audio or turn."""
    may_never_speak: bool
    """Whether the session was started for the sake of text: without anybody who transcribes it is a chat alone."""
    can_resume: bool
    """Whether a client of this protocol can take its session up on another socket."""
    idle_timeout_s: float | None
    """A session in which nothing comes for this long ends; None: as the service says, and never later than that."""

    @property
    def read_apart(self) -> Callable[[str], Callable[[], Sequence[Action]]] | None:
        """`on_text` in two steps, where text frames may be long; None where they are short.

        The first step reads the frame, which takes long, and changes nothing: it may run on any thread. What it returns
        is the second, for the loop, which raises as `on_text` does.
        """
        ...

    def on_open(self) -> Sequence[Action]:
        """The socket comes. Raises ClientError (in ASCII) where the handshake asks for what cannot be: no upgrade."""
        ...

    def on_text(self, text: str) -> Sequence[Action]:
        """Read one text frame; raises a ClientError, and then nothing has changed."""
        ...

    def on_binary(self, data: bytes) -> Sequence[Action]:
        """Read one binary frame; raises a ClientError."""
        ...

    def render(self, event: SessionEvent) -> Sequence[str]:
        """Spell one session event as text frames, in order."""
        ...

    def close(self, code: int, reason: str) -> tuple[int, str]:
        """How this protocol spells the close of a session that ends with this code of ours."""
        ...
