"""Turns on their way to the record: numbered, stored one at a time and in order, until the broker has each. Pure."""

from collections import deque
from typing import Literal

from bus.contract.records import ChatTurn
from stream_gateway.chat.options import ChatConfig
from stream_gateway.session.effects import Dropped, Effect, StoreTurn

_MAX_WAITING = 512
"""Turns kept while the bus is away: the oldest are dropped, and counted."""
_RETRY_AFTER_S = 0.5


class TurnStore:
    """`settle` is called after every change, and at `deadline`."""

    def __init__(self, config: ChatConfig) -> None:
        self.turns = 0
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

    def add(
        self,
        role: Literal["user", "assistant"],
        text: str,
        *,
        source: Literal["speech", "typed", "model"],
        segment: int | None = None,
        answer: int | None = None,
        end: Literal["complete", "length", "cancelled", "failed"] = "complete",
        model: str = "",
    ) -> None:
        """A turn is over."""
        self.turns += 1
        turn = ChatTurn(
            tenant=self._config.tenant,
            session=self._config.session,
            turn=self.turns,
            role=role,
            text=text,
            source=source,
            segment=segment,
            answer=answer,
            end=end,
            model=model,
        )
        self._waiting.append(turn)
        if len(self._waiting) > _MAX_WAITING:
            self._storing = None if self._storing is self._waiting.popleft() else self._storing
            self._dropped += 1

    def on_stored(self, turn: ChatTurn, now: float, *, succeeded: bool) -> None:
        """A `StoreTurn` was acknowledged, or was not."""
        if self._storing is not turn:
            return
        self._storing = None
        if succeeded:
            self._waiting.popleft()
        else:
            self._try_at = now + _RETRY_AFTER_S

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
