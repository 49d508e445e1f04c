"""What OpenAI Realtime clients send, field by field, and how what they sent is refused. Unknown fields are ignored."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias, TypeVar, get_args

import msgspec

from stream_gateway.dialects.base64_audio import NotBase64, decode_base64

Event: TypeAlias = dict[str, object]
"""A server event without its `event_id`."""
_T = TypeVar("_T")
_MAX_NAME_CHARS: Final = 512
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=_MAX_NAME_CHARS)]
"""An id that a client has chosen: it is kept, and told back."""
Metadata: TypeAlias = Annotated[
    dict[Annotated[str, msgspec.Meta(max_length=64)], Annotated[str, msgspec.Meta(max_length=512)]],
    msgspec.Meta(max_length=16),
]
"""What a client has chosen to tell apart its responses by, within the limits of the API: it is told back too."""


class Refusal(Exception):
    """What a client asked for cannot be; the session goes on. Texts hold none of its words."""

    def __init__(self, message: str, *, code: str = "invalid_value", param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param

    def event(self, event_id: str | None) -> Event:
        """The `error` event that answers the client's event of this id."""
        return error_event(self.message, code=self.code, param=self.param, event_id=event_id)


def error_event(
    message: str,
    *,
    code: str,
    kind: str = "invalid_request_error",
    param: str | None = None,
    event_id: str | None = None,
) -> Event:
    """Spell an `error`; what is not known is left out, for some clients choke on null."""
    error = {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}
    return {"type": "error", "error": {name: value for name, value in error.items() if value is not None}}


class FromClient(msgspec.Struct, kw_only=True, tag_field="type"):
    """Any event of a client."""

    event_id: object = None

    @property
    def id(self) -> str | None:
        """Echoed where the event is refused."""
        return _echoed(self.event_id)


class SessionUpdate(FromClient, tag="session.update"):
    """Change what the session is; only what is present changes."""

    session: msgspec.Raw


class TranscriptionSessionUpdate(SessionUpdate, tag="transcription_session.update"):
    """The same, as transcription sessions of the beta spell it."""


_NULL: Final = msgspec.Raw(b"null")


class Append(FromClient, tag="input_audio_buffer.append"):
    """Audio, in any chunking."""

    audio: msgspec.Raw
    """Base64; `Message` has it decoded."""


class Commit(FromClient, tag="input_audio_buffer.commit"):
    """The turn ends here."""


class Clear(FromClient, tag="input_audio_buffer.clear"):
    """Take back what was not committed."""


class OutputClear(FromClient, tag="output_audio_buffer.clear"):
    """Stop playing what was said: there is nothing to stop."""


class ContentPart(msgspec.Struct):
    """One part of a message."""

    type: str
    text: str | None = None
    audio: msgspec.Raw = _NULL
    """Base64; `Message` has it decoded, of all parts of an item in one."""
    transcript: str | None = None


class ItemDraft(msgspec.Struct):
    """A message as a client writes it; in the context of a response also a reference to one."""

    type: str = "message"
    id: Name | None = None
    role: Literal["user", "assistant", "system"] = "user"
    content: tuple[ContentPart, ...] | None = None


class ItemCreate(FromClient, tag="conversation.item.create"):
    """Put an item into the conversation."""

    item: ItemDraft
    previous_item_id: Name | None = None


class ItemDelete(FromClient, tag="conversation.item.delete"):
    """Forget an item."""

    item_id: Name


class ItemRetrieve(FromClient, tag="conversation.item.retrieve"):
    """Tell an item."""

    item_id: Name


class ItemTruncate(FromClient, tag="conversation.item.truncate"):
    """So much of an answer was played: without audio it changes nothing."""

    item_id: Name
    content_index: int = 0
    audio_end_ms: int = 0


class ResponseDraft(msgspec.Struct):
    """How one response is wanted; null is what the session has."""

    instructions: str | None = None
    input: tuple[ItemDraft, ...] | None = None
    conversation: str | None = None
    max_output_tokens: int | Literal["inf"] | None = None
    metadata: Metadata | None = None


class ResponseCreate(FromClient, tag="response.create"):
    """Answer now."""

    response: ResponseDraft | None = None


class ResponseCancel(FromClient, tag="response.cancel"):
    """Stop the response that is active."""

    response_id: Name | None = None


ClientEvent: TypeAlias = (
    SessionUpdate
    | TranscriptionSessionUpdate
    | Append
    | Commit
    | Clear
    | OutputClear
    | ItemCreate
    | ItemDelete
    | ItemRetrieve
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
)


@dataclass(frozen=True, slots=True)
class Message:
    """One frame, read."""

    event: ClientEvent
    audio: bytes | None = field(default=None, repr=False)
    """All that is to be heard in it; None where nothing is, not even silence."""


class _Head(msgspec.Struct):
    """Read first: whether an event is unknown is decided before whether its fields are right."""

    type: str
    event_id: object = None


_WITH_AUDIO: Final = frozenset(str(kind.__struct_config__.tag) for kind in (Append, ItemCreate))
AUDIO_PART: Final = "input_audio"
_MAX_PLAIN_CHARS: Final = 1_048_576
"""Of an event that holds no audio."""
_TYPES: Final = tuple(str(kind.__struct_config__.tag) for kind in get_args(ClientEvent))
_head_decoder = msgspec.json.Decoder(_Head)
_decoder: msgspec.json.Decoder[ClientEvent] = msgspec.json.Decoder(ClientEvent)
_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(.*)`$")


def read_id(text: str) -> str | None:
    """The id of an event that may be wrong otherwise."""
    try:
        event_id = _head_decoder.decode(text).event_id
    except (msgspec.MsgspecError, RecursionError):
        return None
    return _echoed(event_id)


def _echoed(event_id: object) -> str | None:
    """What is told back of a client's id: nothing of one that is none."""
    return event_id if isinstance(event_id, str) and len(event_id) <= _MAX_NAME_CHARS else None


def read_event(text: str) -> Message:
    """Read one frame; raises Refusal. Long ones take long: nothing of it depends on what came before."""
    try:
        head = _head_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise Refusal("a frame must be a JSON object with a string `type`", code="invalid_json") from None
    if head.type not in _TYPES:
        raise Refusal(f"unknown event type; supported are {', '.join(_TYPES)}", param="type")
    if head.type not in _WITH_AUDIO and len(text) > _MAX_PLAIN_CHARS:
        raise Refusal(f"an event without audio may have {_MAX_PLAIN_CHARS} characters", code="string_too_long")
    try:
        event = _decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise _misfit(error) from None
    match event:
        case Append(audio=audio):
            return Message(event, decoded_audio(audio, param="audio"))
        case ItemCreate(item=item):
            return Message(event, _heard_in(item))
        case _:
            return Message(event)


def _heard_in(item: ItemDraft) -> bytes | None:
    parts = [
        decoded_audio(part.audio, param=f"item.content[{index}].audio")
        for index, part in enumerate(item.content or ())
        if part.type == AUDIO_PART and part.audio != _NULL
    ]
    return b"".join(parts) or None


def decoded_audio(audio: msgspec.Raw, *, param: str) -> bytes:
    """The bytes that a JSON value stands for; raises Refusal."""
    try:
        return decode_base64(audio)
    except NotBase64 as error:
        raise Refusal(str(error), param=param) from None


def read_part(raw: msgspec.Raw, kind: type[_T], *, within: str) -> _T:
    """Read the part of an event that lies at `within`; raises Refusal that names the place below it."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise _misfit(error, within=within) from None


def _misfit(error: msgspec.MsgspecError, *, within: str = "") -> Refusal:
    """Where a value has the wrong type or range, without the value."""
    text = str(error)
    place = _PLACE.search(text)
    param = ".".join(part for part in (within, place[1] if place else "") if part)
    return Refusal(_PLACE.sub("", text), param=param or None)
