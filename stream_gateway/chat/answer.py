"""One answer, from the wish for it to its end, over as many attempts and workers as that takes. Pure.

Theory of operation. Each attempt goes DUE -> SENDING -> QUEUED -> TAKEN, and ends the answer, or is given up for the
next one: its worker is gone or silent, a piece of it is missing, the bus was away meanwhile. The next attempt is given
the text that came so far as prefill and goes on after it; whatever still comes of an earlier one is ignored, and its
worker is told to stop. So the client sees each piece once, in order, and a pause where something failed.

The worker that served the conversation before has it in its cache. If it has a free slot it is asked directly; it
takes or refuses at once, and else, or after a short wait, all workers are asked. That is the whole preference.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol, TypeAlias, assert_never

from bus.contract import chat_work as work
from bus.contract.errors import ChatFailed, HarkenError, InvalidMessage, NoWorker, UnknownModel
from bus.contract.presence import WorkerPresence
from bus.control.roster import Route
from stream_gateway.chat.options import AnswerPatience
from stream_gateway.chat.request_size import fitted
from stream_gateway.session.effects import Ask, Effect, Emit, StopAnswer
from stream_gateway.session.events import ChatDelta, Fault

_CHARS_PER_TOKEN = 4
"""About as many: how many tokens a text was that an earlier owner of the session had generated is not known."""


class LlmWorkers(Protocol):
    """Who can answer, as `bus.control.roster.Roster` knows it."""

    def pool_for(self, model: str | None, now: float) -> Route:
        """The pool that serves a model; raises NoWorker or UnknownModel."""

    def presence(self, worker: str, now: float) -> WorkerPresence | None:
        """The newest heartbeat of a worker, None if it does not live."""

    def unserved_s(self, model: str | None, now: float) -> float:
        """How long nobody has been there for a model; infinite if nobody ever was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be answered, and how."""

    number: int
    messages: tuple[work.ChatMessage, ...] = field(repr=False)
    model: str | None
    max_tokens: int
    temperature: float
    prefill: str = field(default="", repr=False)
    """What the client has of it already."""
    attempts: int = 0
    """Attempts up to this number were an earlier owner's of the session."""
    is_resumed: bool = False
    """That owner may have asked for it: its worker is told to stop. And a worker may be yet to be heard of here."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer has no end."""

    error: HarkenError


Outcome: TypeAlias = work.ChatDone | Failed


class _Stage(Enum):
    DUE = auto()
    SENDING = auto()
    QUEUED = auto()
    TAKEN = auto()


class Answer:
    """The machine. Call `settle` after every input and at `deadline`, until `outcome` is set."""

    def __init__(
        self, wish: Wish, *, workers: LlmWorkers, patience: AnswerPatience, prefer: str | None, now: float
    ) -> None:
        self.number = wish.number
        self.text = wish.prefill
        """All of it that came so far."""
        self.outcome: Outcome | None = None
        self.worker: str | None = None
        """Who has it, or had it last."""
        self.asked_at = now
        self.first_delta_at: float | None = None
        self.attempt = wish.attempts
        self._wish = wish
        self._workers = workers
        self.model = self._model(now)
        """Who answers, as far as is known at its start."""
        self._patience = patience
        self._prefer = prefer
        self._stage = _Stage.DUE
        self._directly = False
        self._since = now
        """When the stage began; in TAKEN, when the worker was heard of last."""
        self._try_at = now
        self._deltas = 0
        self._tokens = len(wish.prefill) // _CHARS_PER_TOKEN
        """Of all that came."""
        self._failures = 0
        self._unsent_since: float | None = None
        """Since when the broker takes no request."""
        self._without_worker_since: float | None = None
        self._looked_at = now
        self._pieces: list[ChatDelta] = []

    @property
    def is_wanted(self) -> bool:
        """Whether it still has no end."""
        return self.outcome is None

    def _model(self, now: float) -> str:
        try:
            return self.route(now).model
        except (NoWorker, UnknownModel):
            return self._wish.model or ""  # the answer itself fails, and says why

    @property
    def _was_asked(self) -> bool:
        return self.attempt > self._wish.attempts

    def route(self, now: float) -> Route:
        """Where it would go now; raises NoWorker or UnknownModel."""
        return self._workers.pool_for(self._wish.model, now)

    def take_pieces(self) -> list[ChatDelta]:
        """What came since the last call."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def stop(self) -> list[Effect]:
        """Nobody waits for it any more: have its worker told."""
        return [StopAnswer(self.number, self.attempt)] if self._was_asked else []

    def on_asked(self, attempt: int, now: float, *, succeeded: bool) -> list[Effect]:
        """An `Ask` was accepted by the broker, or was not."""
        if attempt != self.attempt or self._stage is not _Stage.SENDING:
            return []
        if not succeeded:
            return self._unsent(now)
        self._unsent_since = None
        self._enter(_Stage.QUEUED, now)
        return []

    def on_reply(self, reply: work.ChatReply, now: float) -> list[Effect]:
        """A worker said something of this answer, maybe of an attempt that is given up."""
        if reply.attempt != self.attempt or self._stage is _Stage.DUE or not self.is_wanted:
            return []
        match reply:
            case work.ChatTaken(worker=worker):
                self.worker = worker
                self._without_worker_since = None
                self._enter(_Stage.TAKEN, now)
                return []
            case work.ChatDelta():
                return self._on_delta(reply, now)
            case work.ChatDone():
                if reply.deltas != self._deltas:
                    return self._again(now)
                self.worker = reply.worker
                self.outcome = reply
                return []
            case work.ChatFailed():
                return self._on_failed(reply, now)
            case _:
                assert_never(reply)

    def on_given_up(self, attempt: int, now: float) -> list[Effect]:
        """The broker will not deliver this attempt again, and nobody answered it."""
        return self._again(now) if attempt == self.attempt and self._stage is not _Stage.DUE else []

    def on_bus_back(self, now: float) -> list[Effect]:
        """What a worker said meanwhile is lost, and the broker may have forgotten the request."""
        return self._again(now, counts=False) if self._stage is not _Stage.DUE else []

    def settle(self, now: float) -> list[Effect]:
        """Do what is due; not while the bus is away: nothing is known of workers then."""
        if not self.is_wanted:
            return []
        self._looked_at = now
        patience = self._patience
        match self._stage:
            case _Stage.DUE:
                return self._ask(now) if now >= self._try_at else []
            case _Stage.QUEUED if self._directly:
                return self._again(now, counts=False) if now >= self._since + patience.direct_s else []
            case _Stage.QUEUED:
                return self._while_queued(now)
            case _Stage.TAKEN:
                gone = self.worker is not None and self._workers.presence(self.worker, now) is None
                return self._again(now) if gone or now >= self._since + patience.stall_s else []
            case _Stage.SENDING:
                return []  # the shell reports in any case
            case _:
                assert_never(self._stage)

    def deadline(self) -> float:
        """When to call `settle` next."""
        match self._stage:
            case _Stage.DUE:
                return self._try_at
            case _Stage.QUEUED if self._directly:
                return self._since + self._patience.direct_s
            case _:
                return self._looked_at + self._patience.look_every_s

    def _while_queued(self, now: float) -> list[Effect]:
        if now >= self._since + self._patience.queued_s:
            self.outcome = Failed(ChatFailed("no worker had time for this answer; ask again later"))
            return self.stop()
        try:
            self.route(now)
        except (NoWorker, UnknownModel):
            return self._again(now, counts=False)  # the next attempt waits for a worker, and says so
        return []

    def _on_delta(self, delta: work.ChatDelta, now: float) -> list[Effect]:
        if delta.seq <= self._deltas:
            return []
        if delta.seq != self._deltas + 1:
            return self._again(now)
        self._deltas += 1
        self._enter(_Stage.TAKEN, now)
        self.text += delta.text
        self._tokens += delta.tokens
        if self.first_delta_at is None:
            self.first_delta_at = now
        self._pieces.append(ChatDelta(self.number, delta.text))
        return []

    def _on_failed(self, failed: work.ChatFailed, now: float) -> list[Effect]:
        if failed.code == work.BUSY:
            return self._again(now, counts=False)
        if failed.code == work.LEAVING:
            return self._again(now)
        if failed.retryable:
            return self._again(now, delay_s=self._backoff_s())
        kinds = {kind.code: kind for kind in (UnknownModel, InvalidMessage)}
        self.outcome = Failed(kinds.get(failed.code, ChatFailed)(failed.message))
        return []

    def _again(self, now: float, *, delay_s: float = 0.0, counts: bool = True) -> list[Effect]:
        """Give this attempt up, and try the next, unless too many have failed."""
        effects: list[Effect] = [StopAnswer(self.number, self.attempt)]
        self._failures += counts
        if self._failures > self._patience.max_failures:
            self.outcome = Failed(ChatFailed(f"{self._failures} attempts failed; ask again later"))
            return effects
        self._enter(_Stage.DUE, now)
        self._try_at = now + delay_s
        return effects if delay_s else effects + self._ask(now)

    def _ask(self, now: float) -> list[Effect]:
        try:
            route = self.route(now)
        except (NoWorker, UnknownModel) as error:
            return self._without_worker(error, now)
        messages = fitted(self._wish.messages, self.text)
        if messages is None:
            self.outcome = Failed(InvalidMessage("the last turn is too long to be answered"))
            return []
        is_continuation = self._was_asked or self._wish.prefill != ""
        earlier: list[Effect] = []
        if self._wish.is_resumed and not self._was_asked:
            earlier = [StopAnswer(self.number, self.attempt)]
        worker = None if self._was_asked else self._preferred(route, now)
        self.attempt += 1
        self._deltas = 0
        self._directly = worker is not None
        self._enter(_Stage.SENDING, now)
        return [
            Ask(
                answer=self.number,
                attempt=self.attempt,
                pool=route.pool,
                model=route.model,
                worker=worker,
                messages=messages,
                prefill=self.text,
                is_continuation=is_continuation,
                max_tokens=max(1, self._wish.max_tokens - self._tokens),
                temperature=self._wish.temperature,
                deadline_s=self._patience.deadline_s,
            ),
            *earlier,
        ]

    def _unsent(self, now: float) -> list[Effect]:
        """The broker may be away, or its queue is full: that no worker has failed is no reason to give up soon."""
        self._unsent_since = now if self._unsent_since is None else self._unsent_since
        if now >= self._unsent_since + self._patience.queued_s:
            self.outcome = Failed(ChatFailed("the answer could not be asked for; ask again later"))
            return self.stop()
        return self._again(now, delay_s=self._patience.resend_s, counts=False)

    def _without_worker(self, error: HarkenError, now: float) -> list[Effect]:
        """Say so. Who was there a moment ago may come up again: wait a while. Else the turn can be retried."""
        first_seen = self._without_worker_since is None
        if self._without_worker_since is None:
            self._without_worker_since = now
        waited_s = now - self._without_worker_since
        may_come = self._was_asked or self._wish.is_resumed or self._was_served_lately(now)
        if not may_come or isinstance(error, UnknownModel) or waited_s >= self._patience.revive_s:
            self.outcome = Failed(error)
            return []
        self._enter(_Stage.DUE, now)
        self._try_at = now + self._patience.look_every_s
        notice = NoWorker("no LLM worker is alive; the answer goes on when one returns")
        return [Emit(Fault(notice, fatal=False))] if first_seen else []

    def _was_served_lately(self, now: float) -> bool:
        """Of a gateway that cannot hear for a while, too, heartbeats are missed."""
        return self._workers.unserved_s(self._wish.model, now) < self._patience.revive_s

    def _preferred(self, route: Route, now: float) -> str | None:
        presence = None if self._prefer is None else self._workers.presence(self._prefer, now)
        if presence is None or presence.free_slots < 1 or (presence.pool, presence.model) != route:
            return None
        return presence.worker

    def _backoff_s(self) -> float:
        return float(self._patience.backoff_s * 2**self._failures)

    def _enter(self, stage: _Stage, now: float) -> None:
        self._stage = stage
        self._since = now
