"""Answers, as responses of an OpenAI Realtime conversation, in the order of events that clients count on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from stream_gateway.chat.commands import TurnRef
from stream_gateway.dialects.openai_items import Item, Items, Names
from stream_gateway.dialects.openai_session import MaxTokens
from stream_gateway.dialects.openai_wire import Event, error_event
from stream_gateway.session import events

Status: TypeAlias = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]


@dataclass(slots=True, kw_only=True)
class Response:
    """One of them, from the moment it is wanted."""

    id: str
    event_id: str | None = None
    """Of the client's event that asked for it."""
    metadata: Mapping[str, object] | None = field(default=None, repr=False)
    max_output_tokens: MaxTokens = "inf"
    in_conversation: bool = True
    item: Item | None = None
    answer: int | None = None
    """Its number in the session, once it begins."""
    previous: str | None = None
    """The item before its own."""
    status: Status = "in_progress"
    details: Event | None = field(default=None, repr=False)
    usage: Event | None = None

    def view(self, conversation_id: str) -> Event:
        """As the wire shows it; what is not known is left out."""
        done = self.status != "in_progress"
        fields = {
            "id": self.id,
            "object": "realtime.response",
            "status": self.status,
            "status_details": self.details,
            "output": [self.item.view] if done and self.item is not None else [],
            "conversation_id": conversation_id if self.in_conversation else None,
            "output_modalities": ["text"],
            "max_output_tokens": self.max_output_tokens,
            "metadata": self.metadata,
            "usage": self.usage,
        }
        return {name: value for name, value in fields.items() if value is not None}


class Responses:
    """At most one is active. All inputs in the order in which the client is told."""

    def __init__(self, *, names: Names, items: Items) -> None:
        self.active: Response | None = None
        self._names = names
        self._items = items
        self._conversation_id = names.new("conv")
        self._asked: dict[str, Response] = {}

    @property
    def running(self) -> Response | None:
        """The active one, if it has begun."""
        return self.active if self.active is not None and self.active.answer is not None else None

    def ask(self, response: Response) -> None:
        """The session is asked for it, and will tell by `on_wanted`."""
        self._asked[response.id] = response

    def on_wanted(self, key: str, *, accepted: bool) -> list[Event]:
        """What became of it."""
        response = self._asked.pop(key)
        if accepted:
            return self._create(response)
        return [
            error_event(
                "Conversation already has an active response in progress. Wait until it is finished.",
                code="conversation_already_has_active_response",
                event_id=response.event_id,
            )
        ]

    def on_started(self, answer: int) -> list[Event]:
        """It begins; if nobody asked for it, it is created now."""
        created = [] if self.active is not None else self._create(Response(id=self._names.new("resp")))
        response = self._active
        item = Item(self._names.new("item"), "assistant", status="in_progress", refs=[TurnRef("answer", answer)])
        response.item, response.answer = item, answer
        begun = [*created, _of(response, "output_item.added", output_index=0, item=item.view)]
        if response.in_conversation:
            response.previous = self._items.insert(item)
            begun.append(_told(response, item, "added"))
        item.content.append({"type": "output_text", "text": ""})
        return [*begun, _part(response, "content_part.added", part={"type": "text", "text": ""})]

    def on_delta(self, text: str) -> list[Event]:
        """The next piece of its text."""
        item = self._item
        item.content[0]["text"] = f"{item.content[0]['text']}{text}"
        return [_part(self._active, "output_text.delta", delta=text)]

    def on_done(self, done: events.ChatDone) -> list[Event]:
        """It is complete, or as long as it may be."""
        usage = done.usage
        self._active.usage = {
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "input_token_details": {
                "text_tokens": usage.prompt_tokens,
                "audio_tokens": 0,
                "cached_tokens": usage.cached_tokens,
            },
            "output_token_details": {"text_tokens": usage.completion_tokens, "audio_tokens": 0},
        }
        if done.finish_reason == "length":
            return self._end("incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
        return self._end("completed", {"type": "completed"})

    def on_cancelled(self, reason: str) -> list[Event]:
        """It was stopped: by somebody who began to speak, or by the client."""
        why = "turn_detected" if reason == "speech" else "client_cancelled"
        return self._end("cancelled", {"type": "cancelled", "reason": why})

    def on_failed(self, code: str) -> list[Event]:
        """It has no end."""
        return self._end("failed", {"type": "failed", "error": {"type": "server_error", "code": code}})

    def may_be_active(self, response_id: str | None) -> bool:
        """Whether it is worth cancelling: False only if another one is active."""
        return self.active is None or response_id in (None, self.active.id)

    def refused_cancel(self, response_id: str | None, event_id: str | None) -> list[Event]:
        """The error for a cancel of what is not active; nothing if it is. To be told before it is stopped."""
        if self.active is not None and response_id in (None, self.active.id):
            return []
        return [
            error_event(
                "Cancellation failed: no active response found", code="response_cancel_not_active", event_id=event_id
            )
        ]

    def cancelled_unbegun(self) -> list[Event]:
        """The session has stopped all there was: what has not begun by now never will."""
        if self.active is None or self.active.item is not None:
            return []
        return self.on_cancelled("client")

    def _create(self, response: Response) -> list[Event]:
        self.active = response
        return [{"type": "response.created", "response": response.view(self._conversation_id)}]

    def _end(self, status: Status, details: Event) -> list[Event]:
        response, self.active = self._active, None
        response.status, response.details = status, details
        closed: list[Event] = []
        if response.item is not None:
            closed = _closed(response, response.item)
        return [*closed, {"type": "response.done", "response": response.view(self._conversation_id)}]

    @property
    def _active(self) -> Response:
        assert self.active is not None, "the session tells of an answer that did not begin"
        return self.active

    @property
    def _item(self) -> Item:
        assert self._active.item is not None, "the session tells of an answer that did not begin"
        return self._active.item


def _closed(response: Response, item: Item) -> list[Event]:
    item.status = "completed" if response.status == "completed" else "incomplete"
    text = item.content[0]["text"]
    closed = [
        _part(response, "output_text.done", text=text),
        _part(response, "content_part.done", part={"type": "text", "text": text}),
        _of(response, "output_item.done", output_index=0, item=item.view),
    ]
    return [*closed, _told(response, item, "done")] if response.in_conversation else closed


def _told(response: Response, item: Item, what: str) -> Event:
    return {"type": f"conversation.item.{what}", "previous_item_id": response.previous, "item": item.view}


def _of(response: Response, what: str, **fields: object) -> Event:
    return {"type": f"response.{what}", "response_id": response.id, **fields}


def _part(response: Response, what: str, **fields: object) -> Event:
    assert response.item is not None
    return _of(response, what, item_id=response.item.id, output_index=0, content_index=0, **fields)
