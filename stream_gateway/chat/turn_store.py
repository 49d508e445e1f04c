"""Turns on their way to the record: numbered, stored one at a time and in order, until the broker has each. Pure."""

from collections import deque
from typing import Literal

from bus.contract.records import ChatTurn
from stream_gateway.chat.begun_turns import BegunTurn
from stream_gateway.chat.ends import AnswerEnd, turn_of
from stream_gateway.chat.options import ChatConfig
from stream_gateway.session.effects import Dropped, Effect, StoreTurn
from stream_gateway.session.events import TurnStored

_FULL_AT = 256
"""Turns that wait before the client is not read any more."""
_MAX_WAITING = 512
"""What was under way by then fits in between; above it the oldest are dropped, and counted."""
_RETRY_AFTER_S = 0.5


class TurnStore:
    """`settle` is called after every change, and at `deadline`. `turns`: how many there were before."""

    def __init__(self, config: ChatConfig, *, turns: int = 0) -> None:
        self.turns = turns
        """How many there were."""
        self._config = config
        self._waiting: deque[ChatTurn] = deque()
        self._storing: ChatTurn | None = None
        self._try_at = 0.0
        self._dropped = 0

    @property
    def is_empty(self) -> bool:
        """Whether all turns are stored."""
        return not self._waiting

    @property
    def stored(self) -> int:
        """Number of the newest turn that is stored with all before it, or was dropped."""
        return self._waiting[0].turn - 1 if self._waiting else self.turns

    @property
    def is_full(self) -> bool:
        """Whether the client should say no more for now."""
        return len(self._waiting) >= _FULL_AT

    def add(self, turn: BegunTurn) -> None:
        """A turn is over that was said or typed."""
        assert turn.text is not None and turn.role != "system", "what the system says is no turn"
        self.turns += 1
        record = ChatTurn(
            tenant=self._config.tenant,
            session=self._config.session,
            turn=self.turns,
            role=turn.role,
            text=turn.text,
            source="typed" if turn.segment is None else "speech",
            segment=turn.segment,
            id=turn.id,
            asks=turn.asks,
        )
        self._append(record)

    def add_answer(self, end: AnswerEnd, *, model: str, id: str | None) -> None:
        """An answer is over."""
        self.turns += 1
        self._append(
            turn_of(end, turn=self.turns, tenant=self._config.tenant, session=self._config.session, model=model, id=id)
        )

    def on_stored(self, turn: ChatTurn, now: float, *, succeeded: bool) -> TurnStored | None:
        """A `StoreTurn` was acknowledged, or was not; what there is to tell of that."""
        if self._storing is not turn:
            return None
        self._storing = None
        if not succeeded:
            self._try_at = now + _RETRY_AFTER_S
            return None
        self._waiting.popleft()
        return stored_turn(turn) if turn.role == "user" else None

    def on_bus_back(self, now: float) -> None:
        """Try at once."""
        self._try_at = now

    def settle(self, now: float) -> list[Effect]:
        """Store the next turn, if none is on its way."""
        effects: list[Effect] = [Dropped("turn", "overflow") for _ in range(self._dropped)]
        self._dropped = 0
        if self._waiting and self._storing is None and now >= self._try_at:
            self._storing = self._waiting[0]
            effects.append(StoreTurn(self._storing))
        return effects

    def deadline(self) -> float | None:
        """When to call `settle` next."""
        return self._try_at if self._waiting and self._storing is None else None

    def _append(self, turn: ChatTurn) -> None:
        self._waiting.append(turn)
        if len(self._waiting) > _MAX_WAITING:
            self._storing = None if self._storing is self._waiting.popleft() else self._storing
            self._dropped += 1


def stored_turn(turn: ChatTurn) -> TurnStored:
    """What is told of a turn of the user that is stored."""
    source: Literal["speech", "typed"] = "typed" if turn.segment is None else "speech"
    return TurnStored(turn=turn.turn, source=source, segment=turn.segment, id=turn.id)
