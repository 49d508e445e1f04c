"""All turns of one session: those that wait for their text, the conversation that they make, and the record. Pure."""

from collections.abc import Collection, Iterator
from typing import Literal

from bus.contract.client_protocol import ChatOptions, ChatSend
from bus.contract.records import ChatTurn
from stream_gateway.chat.begun_turns import BegunTurn, BegunTurns
from stream_gateway.chat.client_ids import ClientIds
from stream_gateway.chat.commands import AddTurn, TurnRef
from stream_gateway.chat.conversation import Conversation
from stream_gateway.chat.ends import AnswerEnd
from stream_gateway.chat.news import News
from stream_gateway.chat.options import ChatConfig
from stream_gateway.chat.resumption import ChatResumption
from stream_gateway.chat.turn_store import TurnStore
from stream_gateway.session.effects import Effect, Emit, SaveChat
from stream_gateway.session.events import ChatFailed, SessionEvent


class History:
    """What of it is stored, and told as stored, follows from `settle`, to be called after every change."""

    def __init__(self, config: ChatConfig, before: ChatResumption, *, is_resumable: bool) -> None:
        self.conversation = Conversation(before.messages)
        self._begun = BegunTurns()
        self._ids = ClientIds(before.stored)
        self._store = TurnStore(config, turns=before.turns)
        self._news = News(waits=is_resumable)
        self._unsaved = before.attempts > 0
        if before.stopped is not None:
            self._keep(before.stopped, model="", id=None, after=None)
        for spoken in before.spoken:
            self._add(BegunTurn(spoken.text, asks=before.options.auto, segment=spoken.segment))

    @property
    def somebody_speaks(self) -> bool:
        """Whether turns wait for a text."""
        return len(self._begun) > 0

    @property
    def is_stored(self) -> bool:
        """Whether all turns are."""
        return self._store.is_empty

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be stored that the client should say no more for now."""
        return self._store.is_full

    def told_of(self, id: str | None) -> list[Effect] | None:
        """What a client is told that sends a turn again; None: this one is new."""
        if id is None or id not in self._ids:
            return None
        stored = self._ids.stored(id)
        return [Emit(stored)] if stored is not None else []

    def check_room(self) -> None:
        """Raise InvalidMessage if one more typed turn may not wait for what is being said."""
        self._begun.check_room()

    def type(self, sent: ChatSend) -> None:
        """A turn is typed."""
        if sent.id is not None:
            self._ids.add(sent.id)
        self._begun.type(BegunTurn(sent.text, asks=sent.answer, id=sent.id))

    def insert(self, turn: AddTurn) -> None:
        """A turn is put where the client wants it."""
        if not self._begun.insert(turn):
            self._add(BegunTurn(turn.text, asks=False, role=turn.role, ref=turn.ref), after=turn.after)

    def speak(self, segment: int, *, asks: bool) -> None:
        """A turn of speech begins, unless it has."""
        self._begun.speak(segment, asks=asks)

    def hear(self, segment: int, text: str) -> None:
        """The text of a segment is known; "" if there is none."""
        self._begun.hear(segment, text)

    def forget(self, refs: Collection[TurnRef]) -> None:
        """Take turns out of the conversation; the record keeps them."""
        self.conversation.forget(refs)
        self._begun.forget(refs)
        self._unsaved = True

    def clear(self) -> None:
        """Forget everything but what is being said. What was typed and waits is in the record, as all that was sent."""
        for turn in self._begun.take_typed():
            self._add(turn)
        self.conversation.clear()
        self._unsaved = True

    def take_turns(self) -> Iterator[BegunTurn]:
        """Move turns whose text is known, in order, into the conversation; those without a word are left out."""
        for turn in self._begun.take_known():
            if turn.text:
                self._add(turn)
            yield turn

    def tell(self, event: SessionEvent) -> None:
        """Tell of an answer, once the turns before are stored."""
        self._news.add(event, after=self._store.turns)

    def keep_answer(self, end: AnswerEnd, *, model: str, id: str | None, after: TurnRef | None) -> None:
        """An answer is over: it goes behind the turn that it answers, and its end is told."""
        self._keep(end, model=model, id=id, after=after)
        self.tell(end)

    def on_stored(self, turn: ChatTurn, now: float, *, succeeded: bool) -> list[Effect]:
        """A `StoreTurn` was acknowledged, or was not."""
        stored = self._store.on_stored(turn, now, succeeded=succeeded)
        if stored is None:
            return []
        self._ids.on_stored(stored)
        return [Emit(stored)]

    def on_options(self) -> None:
        """The options that are saved beside the conversation have changed."""
        self._unsaved = True

    def on_bus_back(self, now: float) -> None:
        """Store at once."""
        self._store.on_bus_back(now)

    def settle(self, now: float, *, connected: bool, options: ChatOptions, answers: int) -> list[Effect]:
        """What is to be stored, saved and told now. A save counts stored turns alone: see `resumption`."""
        effects = self._store.settle(now) if connected else []
        effects += self._news.settle(now, stored=self._store.stored)
        if not (self._unsaved and connected and self._store.is_empty):
            return effects
        self._unsaved = False
        messages, turns = self.conversation.messages, self._store.turns
        return [*effects, SaveChat(options, messages, turns=turns, answers=answers)]

    def deadline(self, *, connected: bool) -> float | None:
        """When to call `settle` next."""
        times = (self._news.deadline(), self._store.deadline() if connected else None)
        return min((time for time in times if time is not None), default=None)

    def _keep(self, end: AnswerEnd, *, model: str, id: str | None, after: TurnRef | None) -> None:
        if end.text and not isinstance(end, ChatFailed):
            self.conversation.add("assistant", end.text, TurnRef("answer", end.answer), after=after)
        self._store.add_answer(end, model=model, id=id)
        self._unsaved = True

    def _add(self, turn: BegunTurn, after: TurnRef | Literal["start"] | None = None) -> None:
        assert turn.text is not None, "turns are taken once their text is known"
        self.conversation.add(turn.role, turn.text, turn.ref, after=after)
        if turn.role != "system":
            self._store.add(turn)
        self._unsaved = True
