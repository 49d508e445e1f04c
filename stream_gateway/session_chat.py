"""One session's chat on the bus: requests and cancels out, turns to the record, the conversation to its key."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, assert_never

import msgspec

from bus.contract import subjects
from bus.contract.chat_work import ChatCancel, ChatReply, ChatRequest, encode_chat
from bus.contract.errors import BusUnavailable, HarkenError
from bus.contract.records import ChatTurn
from bus.transport.connection import BusConnection
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.session.effects import Ask, ChatEffect, Effect, SaveChat, StopAnswer, StoreTurn
from stream_gateway.session.in_broker import InBroker
from stream_gateway.session.session import Session
from stream_gateway.session_ledger import SessionLedger

log = logging.getLogger(__name__)

_MAX_ASKING = 4
"""Requests on their way to the broker at a time; of more only the newest waits: the others are for answers that were
stopped. Each holds the whole conversation, and a broker may be slow to say that it has one."""
_MAX_REMEMBERED = 64
"""Attempts whose number in the broker is known: more than one answer has."""
_DELIVERIES = 1
"""As often as the broker hands a request out."""


class Attempt(NamedTuple):
    """Which attempt at which answer."""

    answer: int
    attempt: int


class Asked(NamedTuple):
    """What became of a request."""

    succeeded: bool
    """The broker, or the network to the worker asked directly, has it."""
    is_given_up: bool = False
    """The broker has given it up already."""


class SessionChat:
    """The shell of the chat in the session machine; its tasks belong to the connection.

    Every call to the bus may be repeated: ids make the second one harmless.
    """

    def __init__(
        self,
        bus: BusConnection,
        *,
        gateway: str,
        tenant: str,
        session: str,
        ledger: SessionLedger,
        machine: Session,
        tasks: asyncio.TaskGroup,
        apply: Callable[[Sequence[Effect]], None],
        now: Callable[[], float],
        metrics: GatewayMetrics,
    ) -> None:
        self._bus = bus
        self._ledger = ledger
        self._machine = machine
        self._tasks = tasks
        self._apply = apply
        self._now = now
        self._metrics = metrics
        self._gateway = gateway
        self._tenant = tenant
        self._session = session
        self._pool: str | None = None
        self._in_broker: InBroker[Attempt] = InBroker(most=_MAX_REMEMBERED)
        self._asking = 0
        self._unasked: Ask | None = None
        self._unsaved: SaveChat | None = None
        self._saving = False
        self._saves = 0

    def perform(self, effect: ChatEffect) -> None:
        """Do what the machine asks, in a task of its own."""
        match effect:
            case Ask():
                self._metrics.continuations.inc(effect.is_continuation)
                self._tasks.create_task(self._ask_in_turn(effect))
            case StopAnswer():
                self._tasks.create_task(self._stop(effect))
            case StoreTurn():
                self._tasks.create_task(self._report_stored(effect.turn))
            case SaveChat():
                self._tasks.create_task(self._save(effect))
            case _:
                assert_never(effect)

    def on_reply(self, reply: ChatReply) -> None:
        """A worker said something."""
        now = self._now()
        self._apply(self._machine.on_chat(lambda chat: chat.on_reply(reply, now), now, progress=True))

    def on_given_up(self, stream_seq: int) -> None:
        """The broker will not deliver this message again; it may be another session's."""
        attempt = self._in_broker.on_given_up(stream_seq, _DELIVERIES)
        if attempt is not None:
            self._give_up(attempt)

    def on_bus_lost(self) -> None:
        """The broker may restart."""
        self._in_broker.clear()

    async def _ask_in_turn(self, ask: Ask) -> None:
        self._unasked = ask
        if self._asking >= _MAX_ASKING:
            return
        self._asking += 1
        while self._unasked is not None:
            newest, self._unasked = self._unasked, None
            await self._report_asked(newest)
        self._asking -= 1

    async def _report_asked(self, ask: Ask) -> None:
        succeeded, is_given_up = await self._ask(ask)
        now = self._now()
        self._apply(
            self._machine.on_chat(
                lambda chat: chat.on_asked(ask.answer, ask.attempt, now, succeeded=succeeded), now, progress=succeeded
            )
        )
        if is_given_up:
            self._give_up(Attempt(ask.answer, ask.attempt))

    def _give_up(self, attempt: Attempt) -> None:
        now = self._now()
        self._apply(self._machine.on_chat(lambda chat: chat.on_given_up(*attempt, now), now, progress=False))

    async def _report_stored(self, turn: ChatTurn) -> None:
        succeeded = await self._ledger.store_turn(turn)
        now = self._now()
        self._apply(
            self._machine.on_chat(
                lambda chat: chat.on_turn_stored(turn, now, succeeded=succeeded), now, progress=succeeded
            )
        )

    async def _ask(self, ask: Ask) -> Asked:
        """Publish a request."""
        data = encode_chat(self._request(ask))
        self._pool = ask.pool
        try:
            if ask.worker is not None:
                await self._bus.publish(subjects.llm_direct(ask.worker), data)
                return Asked(succeeded=True)
            return await self._store_request(ask, data)
        except HarkenError as error:
            log.warning("chat request failed", extra={"session": self._session, "code": error.code})
            return Asked(succeeded=False)

    async def _store_request(self, ask: Ask, data: bytes) -> Asked:
        subject = subjects.llm_request(ask.pool, self._tenant, self._session)
        seq, deliveries = None, None
        self._in_broker.on_publishing()
        try:
            msg_id = f"{self._session}:{ask.answer}:{ask.attempt}:ask"
            seq = (await self._bus.publish_stored(subject, data, msg_id=msg_id)).seq
        finally:
            deliveries = self._in_broker.on_published(seq, Attempt(ask.answer, ask.attempt))
        return Asked(succeeded=True, is_given_up=deliveries is not None)

    async def _stop(self, stop: StopAnswer) -> None:
        """Tell the pool's workers that nobody waits. They may not hear it: then they answer in vain."""
        if self._pool is None:
            return
        cancel = ChatCancel(session=self._session, answer=stop.answer, upto_attempt=stop.upto_attempt)
        with suppress(BusUnavailable):
            await self._bus.publish(subjects.cancel_llm(self._pool), encode_chat(cancel))

    async def _save(self, save: SaveChat) -> None:
        """Put the conversation into the session's key; while one is on its way, only the newest other one waits."""
        self._unsaved = save
        if self._saving:
            return
        self._saving = True
        while self._unsaved is not None:
            newest, self._unsaved = self._unsaved, None
            # If it fails, the next turn brings all of it again.
            if self._ledger.has_key:
                await self._ledger.save(
                    chat=newest.options, messages=newest.messages, turns=newest.turns, answers=newest.answers
                )
            else:
                await self._put(newest)
        self._saving = False

    async def _put(self, save: SaveChat) -> None:
        """Keep the conversation of a session that nobody can take up: to be read."""
        record = {"version": 1, "messages": save.messages, "turns": save.turns, "answers": save.answers}
        subject = subjects.session_record(self._tenant, self._session)
        self._saves += 1
        msg_id = f"{self._session}:{self._saves}:chat"
        try:
            await self._bus.publish_stored(subject, msgspec.json.encode(record), msg_id=msg_id)
        except HarkenError as error:
            log.warning("conversation not saved", extra={"session": self._session, "code": error.code})

    def _request(self, ask: Ask) -> ChatRequest:
        return ChatRequest(
            tenant=self._tenant,
            session=self._session,
            gateway=self._gateway,
            answer=ask.answer,
            attempt=ask.attempt,
            model=ask.model,
            messages=ask.messages,
            prefill=ask.prefill,
            max_tokens=ask.max_tokens,
            temperature=ask.temperature,
            deadline_s=ask.deadline_s,
        )
