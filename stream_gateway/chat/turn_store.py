"""Turns on their way to the record: numbered, stored one at a time and in order, until the broker has each. Pure.

What is told of a turn waits for that: a client that knows of a turn finds it again on whichever gateway it resumes. So
does the end of an answer, for a moment at most: all of its text was shown before.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from bus.contract.records import ChatTurn
from stream_gateway.chat.begun_turns import BegunTurn
from stream_gateway.chat.ends import AnswerEnd, turn_of
from stream_gateway.chat.options import ChatConfig
from stream_gateway.session.effects import Dropped, Effect, Emit, StoreTurn
from stream_gateway.session.events import TurnStored

_FULL_AT = 256
"""Turns that wait before the client is not read any more."""
_MAX_WAITING = 512
"""What was under way by then fits in between; above it the oldest are dropped, and counted."""
_RETRY_AFTER_S = 0.5
_END_WAITS_S = 1.0
"""Longest time that the end of an answer is held back until it is stored."""


@dataclass(slots=True, eq=False)
class _Waiting:
    turn: ChatTurn
    end: AnswerEnd | None = field(default=None, repr=False)
    """To be told once it is stored."""
    tell_by: float | None = None


class TurnStore:
    """`settle` is called after every change, and at `deadline`. `turns`: how many there were before."""

    def __init__(self, config: ChatConfig, *, turns: int = 0) -> None:
        self.turns = turns
        """How many there were."""
        self._config = config
        self._waiting: deque[_Waiting] = deque()
        self._untold: list[_Waiting] = []
        """Those of them that are ends of answers which the client does not know of."""
        self._storing: _Waiting | None = None
        self._try_at = 0.0
        self._dropped = 0

    @property
    def is_empty(self) -> bool:
        """Whether all turns are stored."""
        return not self._waiting

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
        self._append(_Waiting(record))

    def add_answer(self, end: AnswerEnd, *, model: str, id: str | None, told: bool = False) -> None:
        """An answer is over. Its end is told once that is stored, unless it is `told`."""
        self.turns += 1
        record = turn_of(
            end, turn=self.turns, tenant=self._config.tenant, session=self._config.session, model=model, id=id
        )
        waiting = _Waiting(record, None if told else end)
        if not told:
            self._untold.append(waiting)
        self._append(waiting)

    def on_stored(self, turn: ChatTurn, now: float, *, succeeded: bool) -> list[Effect]:
        """A `StoreTurn` was acknowledged, or was not."""
        stored = self._storing
        if stored is None or stored.turn is not turn:
            return []
        self._storing = None
        if not succeeded:
            self._try_at = now + _RETRY_AFTER_S
            return []
        self._waiting.popleft()
        if stored in self._untold:
            return self._told(stored)
        return [Emit(stored_turn(turn))] if turn.role == "user" else []

    def on_bus_back(self, now: float) -> None:
        """Try at once."""
        self._try_at = now

    def tell_ends(self) -> list[Effect]:
        """Tell what is held back: something comes that must not be told before."""
        return [effect for waiting in tuple(self._untold) for effect in self._told(waiting)]

    def settle(self, now: float, *, connected: bool) -> list[Effect]:
        """Store the next turn, if none is on its way, and tell of ends that cannot wait."""
        effects: list[Effect] = [Dropped("turn", "overflow") for _ in range(self._dropped)]
        self._dropped = 0
        for waiting in tuple(self._untold):
            if waiting.tell_by is None:
                waiting.tell_by = now + _END_WAITS_S
            if now >= waiting.tell_by:
                effects += self._told(waiting)
        if connected and self._waiting and self._storing is None and now >= self._try_at:
            self._storing = self._waiting[0]
            effects.append(StoreTurn(self._storing.turn))
        return effects

    def deadline(self, *, connected: bool) -> float | None:
        """When to call `settle` next."""
        times = [waiting.tell_by for waiting in self._untold if waiting.tell_by is not None]
        if connected and self._waiting and self._storing is None:
            times.append(self._try_at)
        return min(times, default=None)

    def _append(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        if len(self._waiting) > _MAX_WAITING:
            self._storing = None if self._storing is self._waiting.popleft() else self._storing
            self._dropped += 1

    def _told(self, waiting: _Waiting) -> list[Effect]:
        self._untold.remove(waiting)
        assert waiting.end is not None
        return [Emit(waiting.end)]


def stored_turn(turn: ChatTurn) -> TurnStored:
    """What is told of a turn of the user that is stored."""
    source: Literal["speech", "typed"] = "typed" if turn.segment is None else "speech"
    return TurnStored(turn=turn.turn, source=source, segment=turn.segment, id=turn.id)
