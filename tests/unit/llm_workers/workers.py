"""A worker with everything around it faked but the engine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from bus.contract import subjects
from bus.contract.chat_work import (
    ChatCancel,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatReply,
    ChatRequest,
    ChatTaken,
    decode_chat_reply,
    encode_chat,
)
from bus.contract.errors import BusUnavailable
from llm_workers.answer import Patience
from llm_workers.engines.base import Engine, EngineOptions, Event, Piece, Prompt
from llm_workers.engines.scripted import ScriptedEngine
from llm_workers.metrics import WorkerMetrics
from llm_workers.worker import Worker, WorkerOptions

WITHIN_S = 10.0


@dataclass(eq=False)
class FakeJob:
    """A delivery that notes how it was answered."""

    data: bytes
    stored_age_s: float = 0.25
    refuses: bool = False
    answer: str = ""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    renewed: asyncio.Event = field(default_factory=asyncio.Event)

    async def ack(self) -> None:
        self._say("ack")

    async def term(self, reason: str) -> None:
        self._say(f"term {reason}")

    async def in_progress(self) -> None:
        self.renewed.set()
        if self.refuses:
            raise BusUnavailable("not connected to NATS")

    async def wait(self) -> str:
        async with asyncio.timeout(WITHIN_S):
            await self.answered.wait()
        return self.answer

    def _say(self, answer: str) -> None:
        assert not self.answer, "a job is answered once"
        self.answer = answer
        self.answered.set()
        if self.refuses:
            raise BusUnavailable("not connected to NATS")


class FakeSource:
    """Jobs in the order of `put`; None ends it."""

    def __init__(self) -> None:
        self._jobs: asyncio.Queue[FakeJob | None] = asyncio.Queue()
        self.fetching = asyncio.Event()
        self.idle = asyncio.Event()

    def put(self, job: FakeJob | None) -> None:
        self._jobs.put_nowait(job)

    @property
    def left(self) -> int:
        return self._jobs.qsize()

    async def fetch(self, *, wait_s: float | None) -> FakeJob | None:
        assert wait_s is None
        self.fetching.set()
        self.idle.clear()
        try:
            return await self._jobs.get()
        finally:
            self.fetching.clear()
            self.idle.set()


class FakeBus:
    """Collects replies by the inbox they went to."""

    def __init__(self) -> None:
        self.replies: asyncio.Queue[ChatReply] = asyncio.Queue()
        self.refuses = 0
        self.refused = asyncio.Event()

    async def publish(self, subject: str, data: bytes) -> None:
        if self.refuses:
            self.refuses -= 1
            self.refused.set()
            raise BusUnavailable("not connected to NATS")
        reply = decode_chat_reply(data)
        assert subject == subjects.chat_inbox("g1", reply.session)
        self.replies.put_nowait(reply)

    async def next(self) -> ChatReply:
        async with asyncio.timeout(WITHIN_S):
            return await self.replies.get()

    async def taken(self) -> ChatTaken:
        reply = await self.next()
        assert isinstance(reply, ChatTaken), reply
        return reply

    async def delta(self) -> ChatDelta:
        reply = await self.next()
        assert isinstance(reply, ChatDelta), reply
        return reply

    async def failed(self) -> ChatFailed:
        """The next word but deltas, which must be this one."""
        _, end = await self.rest()
        assert isinstance(end, ChatFailed), end
        return end

    async def rest(self) -> tuple[str, ChatDone | ChatFailed]:
        """What comes until the end: the text, and the last word."""
        text, seq = "", None
        while True:
            reply = await self.next()
            if isinstance(reply, ChatDone | ChatFailed):
                return text, reply
            if isinstance(reply, ChatDelta):
                assert seq is None or reply.seq == seq + 1, "pieces come in order, without gaps"
                seq, text = reply.seq, text + reply.text


class OddEngine(ScriptedEngine):
    """One that breaks its word."""

    raises: Exception | None = None

    async def generate(self, prompt: Prompt) -> AsyncIterator[Event]:
        if self.raises is not None:
            raise self.raises
        yield Piece("no end")


@dataclass(eq=False)
class Bench:
    """One worker at work."""

    engine: Any
    worker: Worker
    bus: FakeBus
    source: FakeSource
    running: asyncio.Task[None]
    registry: CollectorRegistry

    def give(self, asked: ChatRequest) -> FakeJob:
        """Put a request where the worker pulls."""
        job = FakeJob(encode_chat(asked))
        self.source.put(job)
        return job

    def ask(self, asked: ChatRequest) -> None:
        """Ask this worker directly."""
        self.worker.on_direct(encode_chat(asked))

    def cancel(self, session: str = "s1", answer: int = 1, upto_attempt: int = 1) -> None:
        """Say that nobody waits."""
        self.worker.on_cancel(encode_chat(ChatCancel(session=session, answer=answer, upto_attempt=upto_attempt)))

    def count(self, name: str, **labels: str) -> float:
        """A metric of this worker."""
        return self.registry.get_sample_value(f"harken_llm_{name}", labels) or 0.0


@asynccontextmanager
async def at_work(
    engine: Engine | None = None,
    *,
    slots: int = 2,
    patience: Patience | None = None,
    ack_wait_s: float = 30.0,
    **script: str,
) -> AsyncIterator[Bench]:
    """A worker with the scripted engine, whose settings are `script`, unless another is given."""
    options = EngineOptions(model_name="m", slots=slots, settings=script)
    engine = engine or await ScriptedEngine.open(options)
    bus, source, registry = FakeBus(), FakeSource(), CollectorRegistry()
    worker = Worker(
        engine,
        bus,
        options=WorkerOptions(
            worker="w1",
            aliases=("small",),
            ack_wait_s=ack_wait_s,
            patience=patience or Patience(first_token_s=30.0, next_token_s=30.0),
        ),
        metrics=WorkerMetrics(registry),
    )
    running = asyncio.create_task(worker.run(source))
    async with asyncio.timeout(WITHIN_S):
        await source.fetching.wait()
    try:
        yield Bench(engine, worker, bus, source, running, registry)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
