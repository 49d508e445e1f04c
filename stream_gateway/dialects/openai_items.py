"""The items of an OpenAI Realtime conversation: their ids, their order, and which turns of ours they are."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from bus.contract.chat_work import ChatMessage, Role
from stream_gateway.chat.commands import TurnRef
from stream_gateway.chat.conversation import MAX_TURN_CHARS
from stream_gateway.dialects.openai_wire import AUDIO_PART, ContentPart, Event, ItemDraft, Refusal

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]
ROOT: Final = "root"
_MAX_ITEMS = 500
_MAX_PARTS = 256
"""Kept to be retrieved; in text 16 million characters at most. The oldest are forgotten, and asking for one is answered
like asking for one that never was."""
_TEXT_PARTS: Final = ("input_text", "output_text", "text")


class Names:
    """Ids that no other session has, given a nonce that none has."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._given = 0

    def new(self, kind: str) -> str:
        """A fresh id, such as `item_1f00d...`."""
        self._given += 1
        return f"{kind}_{self._nonce}{self._given:06d}"


@dataclass(slots=True)
class Item:
    """A message. Its text is said to nobody but the client."""

    id: str
    role: Role
    content: list[Event] = field(default_factory=list, repr=False)
    status: Status = "completed"
    refs: list[TurnRef] = field(default_factory=list)
    """The turns of the conversation that it is, oldest first."""

    @property
    def view(self) -> Event:
        """As the wire shows it."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": [dict(part) for part in self.content],
        }

    @property
    def text(self) -> str:
        """All that it says."""
        parts = [part.get("text") or part.get("transcript") or "" for part in self.content]
        return "\n".join(str(part) for part in parts if part)


class Items:
    """In the order of the conversation, as far as the client was told of it."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._by_id: dict[str, Item] = {}

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._by_id

    def get(self, item_id: str) -> Item | None:
        """None if there is none."""
        return self._by_id.get(item_id)

    def insert(self, item: Item, after: str | None = None) -> str | None:
        """Put an item after another one, at the root or at the end; tell the id of the one before it."""
        place = len(self._order)
        if after == ROOT:
            place = 0
        elif after in self._by_id:
            place = self._order.index(after) + 1
        self._order.insert(place, item.id)
        self._by_id[item.id] = item
        previous = self._order[place - 1] if place else None
        if len(self._order) > _MAX_ITEMS:
            del self._by_id[self._order.pop(0)]
        return previous

    def remove(self, item_id: str) -> bool:
        """Tell whether it was there."""
        if self._by_id.pop(item_id, None) is None:
            return False
        self._order.remove(item_id)
        return True


def told(item: Item, previous: str | None) -> list[Event]:
    """That an item is there, and complete."""
    return [
        {"type": f"conversation.item.{what}", "previous_item_id": previous, "item": item.view}
        for what in ("added", "done")
    ]


def drafted(draft: ItemDraft, item_id: str) -> Item:
    """The item that a client wrote; raises Refusal."""
    if draft.type != "message":
        raise Refusal("only items of type message are supported", param="item.type")
    item = Item(item_id, draft.role)
    parts = draft.content or ()
    if len(parts) > _MAX_PARTS:
        raise Refusal(f"an item may have {_MAX_PARTS} parts", code="array_too_long", param="item.content")
    item.content += [_content(part, draft.role) for part in parts]
    if len(item.text) > MAX_TURN_CHARS:
        raise Refusal(f"an item may have {MAX_TURN_CHARS} characters", code="string_too_long", param="item.content")
    return item


def spoken_part(transcript: str | None = None) -> Event:
    """Audio of a user. Null is a transcript that is not known yet; clients want the field."""
    return {"type": "input_audio", "transcript": transcript}


def context(drafts: tuple[ItemDraft, ...], items: Items) -> tuple[ChatMessage, ...]:
    """What a response is to answer in place of the conversation; raises Refusal."""
    if len(drafts) > _MAX_ITEMS:
        raise Refusal(f"a response may have {_MAX_ITEMS} items", code="array_too_long", param="response.input")
    messages = []
    for draft in drafts:
        if draft.type == "item_reference":
            item = items.get(draft.id or "")
            if item is None:
                raise Refusal("no such item in the conversation", code="item_not_found", param="response.input")
        else:
            item = drafted(draft, "")
        if item.text:
            messages.append(ChatMessage(item.role, item.text))
    return tuple(messages)


def _content(part: ContentPart, role: Role) -> Event:
    if part.type in _TEXT_PARTS:
        return {"type": "output_text" if role == "assistant" else "input_text", "text": part.text or ""}
    if part.type == AUDIO_PART and role == "user":
        return spoken_part(part.transcript)
    if part.type in ("output_audio", "audio") and role == "assistant":
        return {"type": "output_text", "text": part.transcript or ""}  # of what was spoken once, the words count
    raise Refusal("content may be input_text, output_text, or input_audio of a user", param="item.content")
