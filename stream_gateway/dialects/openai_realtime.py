"""OpenAI Realtime: JSON text frames both ways, audio in base64 (docs/compatibility.md says what of it is served).

Theory of operation. Settings change as frames are read, until audio or an item needs the session: then it starts with
what they are. Everything that the client is told in answer to what it did (`Later`) or of what the session does
(`render`) is spelled when it is its turn, in one order; items and responses change there and nowhere else.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, assert_never

import msgspec

from bus.contract.client_protocol import AudioCommit, ChatCancel, ChatConfigure, ChatOptions
from stream_gateway.chat.commands import AddTurn, AskAnswer, ForgetTurns, MindSpeech, TurnRef
from stream_gateway.dialects import openai_wire as wire
from stream_gateway.dialects.base import Action, Audio, AudioClear, AudioConfigure, Handshake, Later, Reply
from stream_gateway.dialects.openai_beta import BetaPatch, beta_report, is_beta, renamed
from stream_gateway.dialects.openai_events import close_of, events_of
from stream_gateway.dialects.openai_items import ROOT, Item, Items, Names, context, drafted, told
from stream_gateway.dialects.openai_report import session_report
from stream_gateway.dialects.openai_responses import Response, Responses
from stream_gateway.dialects.openai_session import (
    PCM_RATE_HZ,
    Kind,
    SessionPatch,
    Settings,
    check_instructions,
    check_tokens,
)
from stream_gateway.dialects.openai_speech import MIN_COMMIT_MS, Commit, SpokenItems, nothing_to_commit
from stream_gateway.session import events

PATHS = ("/v1/realtime", "/realtime", "/openai/v1/realtime")


class OpenAiDialect:
    """One socket of an OpenAI Realtime client. `nonce` makes its ids its own."""

    starts_late = True
    can_resume = False
    idle_timeout_s: float | None = None

    def __init__(self, handshake: Handshake, *, nonce: str) -> None:
        self.offset_rate_hz = PCM_RATE_HZ
        self.may_never_speak = False
        self._beta = is_beta(handshake.headers)
        intent, model = (next(iter(handshake.query.get(name, ())), None) for name in ("intent", "model"))
        self._settings = Settings.at_first(intent=intent, model=model)
        self._names = Names(nonce)
        self._session_id = self._names.new("sess")
        self._items = Items()
        self._promised: dict[str, TurnRef | None] = {}
        """Items that the client is about to be told of, and the turns that they are."""
        self._responses = Responses(names=self._names, items=self._items)
        self._speech: SpokenItems | None = None
        self._buffered_s = 0.0
        """Since the last commit."""

    def on_open(self) -> Sequence[Action]:
        """Clients wait for this before they say anything."""
        return [self._session_event("created")]

    def on_binary(self, data: bytes) -> Sequence[Action]:
        """There are none."""
        return [self._reply(wire.Refusal("audio comes in input_audio_buffer.append, not in binary frames").event(None))]

    def on_text(self, text: str) -> Sequence[Action]:
        """Read one event; what is wrong with it is told at once, and ends nothing."""
        return self.read_apart(text)()

    def read_apart(self, text: str) -> Callable[[], Sequence[Action]]:
        """See Dialect."""
        try:
            message = wire.read_event(text)
        except wire.Refusal as refusal:
            return partial(self._refuse, refusal, wire.read_id(text))
        return partial(self._on_message, message)

    def _on_message(self, message: wire.Message) -> Sequence[Action]:
        try:
            return self._on_event(message.event, message.audio)
        except wire.Refusal as refusal:
            return self._refuse(refusal, message.event.id)

    def _refuse(self, refusal: wire.Refusal, event_id: str | None) -> Sequence[Action]:
        return [self._reply(refusal.event(event_id))]

    def close(self, code: int, reason: str) -> tuple[int, str]:
        """Our own codes mean nothing to these clients."""
        return close_of(code), reason

    def render(self, event: events.SessionEvent) -> Sequence[str]:
        """Spell one session event as none, one or more events."""
        return self._spell(events_of(event, speech=self._speech, responses=self._responses))

    def _on_event(self, event: wire.ClientEvent, audio: bytes | None) -> Sequence[Action]:
        match event:
            case wire.Append():
                self._buffered_s += len(audio or b"") / self._settings.bytes_per_s
                return [*self._started(), Audio(audio)] if audio else []
            case wire.Commit():
                return self._commit(event)
            case wire.Clear():
                return self._clear()
            case wire.SessionUpdate():
                return self._update(event)
            case wire.ItemCreate():
                return self._create_item(event, audio)
            case wire.ItemDelete(item_id=item_id):
                return self._delete_item(item_id, event.id)
            case wire.ItemRetrieve(item_id=item_id):
                return [self._later(lambda: [self._retrieved(item_id, event.id)])]
            case wire.ItemTruncate():
                return [self._later(lambda: [self._truncated(event)])]
            case wire.ResponseCreate():
                return self._ask(event)
            case wire.ResponseCancel(response_id=response_id):
                return self._cancel(response_id, event.id)
            case wire.OutputClear():
                return []
            case _:
                assert_never(event)

    def _update(self, event: wire.SessionUpdate) -> Sequence[Action]:
        before = self._settings
        self._settings = before.merged(self._patch(event))
        now, speech, actions = self._settings, self._speech, list[Action]()
        actions.append(self._session_event("updated"))
        if speech is None:
            return actions
        actions.append(self._later(lambda: speech.configure(now)))
        if (hearing := now.hearing()) != before.hearing():
            actions.append(AudioConfigure(hearing))
        if now.kind == "realtime":
            tokens = ChatOptions().max_tokens if now.max_output_tokens == "inf" else now.max_output_tokens
            auto = now.creates_responses
            actions.append(ChatConfigure(instructions=now.instructions, max_tokens=tokens, auto=auto))
            actions.append(MindSpeech(now.interrupts))
        return actions

    def _patch(self, event: wire.SessionUpdate) -> SessionPatch:
        kind: Kind | None = "transcription" if isinstance(event, wire.TranscriptionSessionUpdate) else None
        if self._beta or kind is not None:
            return wire.read_part(event.session, BetaPatch, within="session").patch(kind)
        return wire.read_part(event.session, SessionPatch, within="session")

    def _started(self, *, by_text: bool = False) -> list[Action]:
        """What starts the session, the first time that it is needed."""
        if self._settings.started:
            return []
        self.may_never_speak = by_text
        self._settings = settings = replace(self._settings, started=True)
        self._speech = SpokenItems(settings, names=self._names, items=self._items)
        if settings.kind == "transcription":
            return [settings.start()]
        return [settings.start(), MindSpeech(settings.interrupts)]

    def _commit(self, event: wire.Commit) -> Sequence[Action]:
        buffered_s, self._buffered_s = self._buffered_s, 0.0
        if self._speech is None or round(1000 * buffered_s, 3) < MIN_COMMIT_MS:
            return [self._reply(nothing_to_commit(event.id))]
        self._speech.commit(Commit("client", event.id))
        return [AudioCommit()]

    def _clear(self) -> Sequence[Action]:
        self._buffered_s = 0.0
        speech = self._speech
        if speech is None:
            return [self._reply({"type": "input_audio_buffer.cleared"})]
        return [AudioClear(), *self._forget(speech.uncommitted_turns), self._later(speech.cleared)]

    def _create_item(self, event: wire.ItemCreate, audio: bytes | None) -> Sequence[Action]:
        item_id, after = event.item.id or self._names.new("item"), event.previous_item_id
        if item_id in self._items or item_id in self._promised:
            raise wire.Refusal(
                "an item with this id exists already", code="item_create_duplicate_item_id", param="item.id"
            )
        if after not in (None, ROOT) and after not in self._items and after not in self._promised:
            raise wire.Refusal(
                "no such item to put it after", code="item_create_invalid_previous_item_id", param="previous_item_id"
            )
        item = drafted(event.item, item_id)
        actions = self._started(by_text=audio is None)
        if item.text and self._settings.kind == "realtime":
            item.refs.append(TurnRef("item", item_id))
            place = self._turn_at(after)
            actions.append(AddTurn(ref=item.refs[0], role=item.role, text=item.text, after=place))
        self._promised[item_id] = item.refs[0] if item.refs else None
        return [*actions, *self._fed(item, after, audio)]

    def _fed(self, item: Item, after: str | None, audio: bytes | None) -> list[Action]:
        """Tell of an item, and hear what is in it: a turn that nobody speaks, so that it neither stops nor asks."""

        def tell() -> list[wire.Event]:
            del self._promised[item.id]
            return told(item, self._items.insert(item, after))

        if audio is None:
            return [self._later(tell)]
        speech = self._speech
        assert speech is not None
        part = next(index for index, one in enumerate(item.content) if one["type"] == "input_audio")

        def begin() -> list[wire.Event]:
            speech.begin_item(item, part)
            return tell()

        speech.commit(Commit("before_item"))
        speech.commit(Commit("item"))
        heard: list[Action] = [self._later(begin), Audio(audio), AudioCommit()]
        if self._settings.kind == "realtime":
            settings = self._settings
            usual: list[Action] = [ChatConfigure(auto=settings.creates_responses), MindSpeech(settings.interrupts)]
            heard = [ChatConfigure(auto=False), MindSpeech(interrupts=False), *heard, *usual]
        return [AudioCommit(), *heard]

    def _delete_item(self, item_id: str, event_id: str | None) -> Sequence[Action]:
        item = self._items.get(item_id)
        promised = self._promised.get(item_id)
        refs = tuple(item.refs) if item is not None else (promised,) if promised is not None else ()

        def tell() -> list[wire.Event]:
            if self._items.remove(item_id):
                return [{"type": "conversation.item.deleted", "item_id": item_id}]
            return [_no_such_item("delete", event_id)]

        return [*self._forget(refs), self._later(tell)]

    def _retrieved(self, item_id: str, event_id: str | None) -> wire.Event:
        item = self._items.get(item_id)
        if item is None:
            return _no_such_item("retrieve", event_id)
        return {"type": "conversation.item.retrieved", "item": item.view}

    def _truncated(self, event: wire.ItemTruncate) -> wire.Event:
        item = self._items.get(event.item_id)
        if item is None or item.role != "assistant":
            return _no_such_item("truncate", event.id)
        return {
            "type": "conversation.item.truncated",
            "item_id": event.item_id,
            "content_index": event.content_index,
            "audio_end_ms": event.audio_end_ms,
        }

    def _ask(self, event: wire.ResponseCreate) -> Sequence[Action]:
        if self._settings.kind == "transcription":
            raise wire.Refusal("a transcription session has no responses", code="invalid_session_type")
        draft = event.response or wire.ResponseDraft()
        tokens = self._settings.max_output_tokens if draft.max_output_tokens is None else draft.max_output_tokens
        check_tokens(tokens, param="response.max_output_tokens")
        check_instructions(draft.instructions or "", param="response.instructions")
        messages = None if draft.input is None else context(draft.input, self._items)
        response = Response(
            id=self._names.new("resp"),
            event_id=event.id,
            metadata=draft.metadata,
            max_output_tokens=tokens,
            in_conversation=draft.conversation != "none",
        )
        self._responses.ask(response)
        asked = AskAnswer(
            key=response.id,
            instructions=draft.instructions,
            max_tokens=None if draft.max_output_tokens == "inf" else draft.max_output_tokens,
            context=messages,
            remembered=response.in_conversation,
        )
        return [*self._started(by_text=True), asked]

    def _cancel(self, response_id: str | None, event_id: str | None) -> Sequence[Action]:
        """What the client knows as running is what is meant, and not what the session may have begun since."""
        responses = self._responses
        running = responses.running
        if running is not None and response_id in (None, running.id):
            return [
                self._later(lambda: responses.refused_cancel(running.id, event_id)),
                ChatCancel(answer=running.answer),
            ]
        check = self._later(lambda: responses.refused_cancel(response_id, event_id))
        if not self._settings.started or not responses.may_be_active(response_id):
            return [check]
        return [check, ChatCancel(), self._later(responses.cancelled_unbegun)]

    def _forget(self, refs: tuple[TurnRef, ...]) -> list[Action]:
        return [ForgetTurns(refs)] if refs and self._settings.kind == "realtime" else []

    def _turn_at(self, item_id: str | None) -> TurnRef | Literal["start"] | None:
        """The turn after which what is put after this item belongs; None is the end."""
        if item_id is None or item_id == ROOT:
            return None if item_id is None else "start"
        item = self._items.get(item_id)
        if item is None:
            return self._promised[item_id]
        return item.refs[-1] if item.refs else None

    def _session_event(self, what: str) -> Reply:
        kind = "transcription_session" if self._beta and self._settings.kind == "transcription" else "session"
        report = beta_report if self._beta else session_report
        return self._reply({"type": f"{kind}.{what}", "session": report(self._settings, self._session_id)})

    def _reply(self, event: wire.Event) -> Reply:
        (text,) = self._spell([event])
        return Reply(text)

    def _later(self, tell: Callable[[], Sequence[wire.Event]]) -> Later:
        return Later(lambda: self._spell(tell()))

    def _spell(self, told: Sequence[wire.Event]) -> Sequence[str]:
        """Give each event its id, and in the beta its name of then."""
        spelled = [renamed(event) for event in told] if self._beta else told
        return [
            msgspec.json.encode({"event_id": self._names.new("event"), **event}).decode()
            for event in spelled
            if event is not None
        ]


def _no_such_item(what: str, event_id: str | None) -> wire.Event:
    code = f"item_{what}_invalid_item_id"
    return wire.error_event("no such item in the conversation", code=code, param="item_id", event_id=event_id)
