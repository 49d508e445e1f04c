"""Sections of the chat benchmark in which the scripted engine answers: what is right is known to the letter."""

import asyncio
import signal
import time
from asyncio.subprocess import Process

from benchmarks.chat_figures import Turn, resumed_s, token_delays_s
from benchmarks.chat_processes import LOOPBACK, Newcomers, start_worker
from benchmarks.chat_turns import ask, chat_session
from benchmarks.report import Row
from benchmarks.scoring import percentile
from benchmarks.service import service
from bus.control.probes import free_port
from bus.transport.connection import BusConnection
from llm_workers.engines.scripted import expected_answer

_TOKENS_PER_S = 50
_TOKENS_OF_MANY = 500
_STAGGER_S = 0.033
"""Between the first questions: no divisor of a token's time, so that tokens are not due all at once."""
_TOKENS_OF_KILLED = 600
_MAX_TOKENS = 4 * _TOKENS_OF_KILLED
"""Not what ends the answer: of one that was continued, the service only estimates how many tokens it had."""
_PATIENCE_S = 60.0


def _settings(slots: int) -> dict[str, str]:
    return {
        "HARKEN_LLM_ENGINE": "scripted",
        "HARKEN_LLM_SLOTS": str(slots),
        "HARKEN_LLM_ENGINE_SETTINGS": f"tokens_per_s={_TOKENS_PER_S}",
    }


async def many(repeats: int) -> Row:
    """So many turns at once, each in a session of its own."""
    async with service(None, settings=_settings(repeats)) as (url, _):
        everybody_is_there = asyncio.Barrier(repeats)

        async def one(number: int) -> tuple[str, Turn]:
            async with chat_session(url, max_tokens=_TOKENS_OF_MANY) as session:
                await everybody_is_there.wait()
                await asyncio.sleep(number * _STAGGER_S)
                question = f"here speaks number {number} scripted:tokens={_TOKENS_OF_MANY}"
                return question, await ask(session, question)

        late_s: list[float] = []
        clock = asyncio.create_task(_note_lateness(late_s))
        asked = await asyncio.gather(*(one(number) for number in range(repeats)))
        clock.cancel()
    delays_s = [delay for _, turn in asked for delay in token_delays_s(turn, 1 / _TOKENS_PER_S)]
    return {
        "turns": repeats,
        "tokens": len(delays_s),
        **{f"token delay of many turns, p{rank}": percentile(delays_s, rank) for rank in (50, 95, 99)},
        "token delay of many turns, max": percentile(delays_s, 100),
        # Of which the machine, and all these clients in one process, are to blame for so much:
        **{f"lateness of the clients, p{rank}": percentile(late_s, rank) for rank in (50, 99)},
        "turns of many not exact": sum(1 for question, turn in asked if not _is_exact(question, turn)),
        "turns with an error": sum(1 for _, turn in asked if turn.error),
    }


async def _note_lateness(late_s: list[float]) -> None:
    """Note for each token's time how late a timer of the clients' loop went off."""
    due = time.monotonic()
    while True:
        due += 1 / _TOKENS_PER_S
        await asyncio.sleep(due - time.monotonic())
        late_s.append(time.monotonic() - due)


async def killed(repeats: int) -> Row:
    """The only worker that could have an answer is killed (SIGKILL) once another is there."""
    port = free_port(LOOPBACK)
    nats_url = f"nats://{LOOPBACK}:{port}"
    arguments = ("--nats-port", str(port), "--llm-workers", "0")
    workers: list[Process] = []
    async with service(None, *arguments) as (url, _):
        bus = await BusConnection.connect(nats_url, name="harken-benchmark", inbox_prefix="_INBOX_benchmark")
        newcomers = Newcomers(bus)
        await newcomers.listen()
        try:
            await _add(workers, newcomers, nats_url)
            asked = [await _killed(url, number, workers, newcomers, nats_url) for number in range(repeats)]
        finally:
            for worker in workers:
                await _end(worker, signal.SIGTERM)
            await bus.aclose()
    stood_still_s = [resumed_s(turn, killed_at) for _, turn, killed_at in asked]
    return {
        "kills": repeats,
        "killed worker to next token, p50": percentile(stood_still_s, 50),
        "killed worker to next token, max": max(stood_still_s),
        "turns after a kill not exact": sum(1 for question, turn, _ in asked if not _is_exact(question, turn)),
        "turns with an error": sum(1 for _, turn, _ in asked if turn.error),
    }


async def _killed(
    url: str, number: int, workers: list[Process], newcomers: Newcomers, nats_url: str
) -> tuple[str, Turn, float]:
    """Ask the one worker there is, start another, kill the first: (question, answer, when it was killed)."""
    speaks = asyncio.Event()
    question = f"what happened on day {number} scripted:tokens={_TOKENS_OF_KILLED}"
    async with chat_session(url, max_tokens=_MAX_TOKENS) as session, asyncio.timeout(_PATIENCE_S):
        answering = asyncio.create_task(ask(session, question, on_piece=speaks.set))
        await speaks.wait()
        await _add(workers, newcomers, nats_url)
        killed_at = time.monotonic()
        await _end(workers.pop(0), signal.SIGKILL)
        return question, await answering, killed_at


async def _add(workers: list[Process], newcomers: Newcomers, nats_url: str) -> None:
    workers.append(await start_worker(nats_url, _settings(4)))
    await newcomers.next()


async def _end(worker: Process, number: signal.Signals) -> None:
    if worker.returncode is None:
        worker.send_signal(number)
    await worker.wait()


def _is_exact(question: str, turn: Turn) -> bool:
    return turn.text == expected_answer(question)
