"""Sections of the chat benchmark that put Harken beside the model server that it asks, both in the same run."""

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from benchmarks.chat_figures import Turn, added_s, median_ratio, stopped_s, tokens_per_s
from benchmarks.chat_processes import model_server
from benchmarks.chat_turns import ModelServer, ask, ask_directly, ask_once, chat_session
from benchmarks.report import Row
from benchmarks.scoring import percentile
from benchmarks.service import service
from clients.sdk import LiveSession

_SLOTS = 8
_CONTEXT_TOKENS = 1024
_TOPICS = ("a lighthouse", "the sea", "a baker", "two foxes", "an old clock", "snow", "a violin", "the night train")
_SHORT_TOKENS = 16
_LONG_TOKENS = 96
_AT_ONCE = (1, 8)
_CANCELLED_AFTER_PIECES = 5
_LOOK_EVERY_S = 0.003
_PATIENCE_S = 3.0
_REST_WITHIN_S = 60.0
"""Longer than reading a whole prompt takes: the next one begins with a server at rest."""
_LONG_PROMPT_TOPICS = 285
"""Some 900 tokens."""
_STEP_INTO = 7
_STEP_INTO_S = 0.05

Ask = Callable[[str, int], Awaitable[Turn]]


@asynccontextmanager
async def _both() -> AsyncIterator[tuple[ModelServer, str]]:
    """The model server, and the address of a Harken that asks it."""
    async with model_server(slots=_SLOTS, context_tokens=_CONTEXT_TOKENS) as server:
        settings = {"HARKEN_LLM_BASE_URL": server.base_url, "HARKEN_LLM_API_KEY": server.api_key}
        async with service(None, settings=settings) as (url, _):
            yield server, url


async def first_token(repeats: int) -> Row:
    """One session after another, each asked the same as the server itself, who of the two first in turns.

    The server has each question in its cache before: what it takes to read one varies by more than Harken adds.
    """
    async with _both() as (server, url):
        ours: list[Turn] = []
        direct: list[Turn] = []

        async def through_harken(question: str) -> None:
            ours.append(await ask_once(url, question, max_tokens=_SHORT_TOKENS))

        async def directly(question: str) -> None:
            direct.append(await ask_directly(server, question, max_tokens=_SHORT_TOKENS))

        for number in range(repeats):
            question = f"Note {number}: please tell me in a few words what you know about {_topic(number)}."
            await ask_directly(server, question, max_tokens=1)
            for way in (through_harken, directly) if number % 2 else (directly, through_harken):
                await way(question)
    return {
        "questions each way": repeats,
        **{f"direct p{rank}": percentile([one.first_s for one in direct], rank) for rank in (50, 95)},
        **{f"Harken p{rank}": percentile([one.first_s for one in ours], rank) for rank in (50, 95)},
        **{f"time to first token added, p{rank}": added_s(ours, direct, rank) for rank in (50, 95)},
        "turns with an error": _errors([*ours, *direct]),
    }


async def rate(repeats: int) -> Row:
    """Rounds of long answers at once, through Harken and directly in turns: the same questions, which the server knows.

    Else whoever asks first pays for reading them.
    """
    row: dict[str, float | int | str] = {}
    errors = 0
    async with _both() as (server, url):
        for at_once in _AT_ONCE:
            ours: list[float] = []
            direct: list[float] = []
            for number in range(2 * repeats):
                through_harken = bool(number % 2) is bool(number // 2 % 2)
                questions = [f"Write a long story about {_topic(number // 2 + other)}." for other in range(at_once)]
                if not number % 2:
                    await asyncio.gather(*(ask_directly(server, question, max_tokens=1) for question in questions))
                turns = await asyncio.gather(
                    *(
                        ask_once(url, question, max_tokens=_LONG_TOKENS)
                        if through_harken
                        else ask_directly(server, question, max_tokens=_LONG_TOKENS)
                        for question in questions
                    )
                )
                (ours if through_harken else direct).append(tokens_per_s(turns))
                errors += _errors(turns)
            turn_or_turns = "1 turn" if at_once == 1 else f"{at_once} turns"
            row |= {
                f"direct tokens/s, {turn_or_turns}": percentile(direct, 50),
                f"Harken tokens/s, {turn_or_turns}": percentile(ours, 50),
                f"tokens/s of direct, {turn_or_turns}": median_ratio(ours, direct),
            }
    return {"rounds each way": repeats, **row, "turns with an error": errors}


async def cancel(repeats: int) -> Row:
    """Answers that are stopped after some words, while the slots of the server are looked at."""
    async with _both() as (server, url):
        taken = [await _cancelled(url, server, _topic(number)) for number in range(repeats)]
    return {
        "answers": repeats,
        **{f"cancel to last token, p{rank}": percentile(taken, rank) for rank in (50, 95)},
        "cancel to last token, max": percentile(taken, 100),
    }


async def cancel_prompt(repeats: int) -> Row:
    """Answers that are stopped while the server still reads a prompt that nearly fills its context."""
    async with _both() as (server, url):
        taken = [await _cancelled_while_read(url, server, number) for number in range(repeats)]
    return {
        "answers": repeats,
        **{f"cancel of a long prompt to rest, p{rank}": percentile(taken, rank) for rank in (50, 95)},
        "cancel of a long prompt to rest, max": percentile(taken, 100),
    }


async def _cancelled_while_read(url: str, server: ModelServer, number: int) -> float:
    """The same, of a prompt that the server does not know; it is stopped at another moment of a step each time."""
    question = f"Story {number} is about " + ", ".join(_topic(topic) for topic in range(_LONG_PROMPT_TOPICS))
    async with chat_session(url, max_tokens=_SHORT_TOKENS) as session:
        answering = asyncio.create_task(ask(session, question))
        async with asyncio.timeout(_PATIENCE_S * 4):
            while not await _look(server):
                pass
        await asyncio.sleep(_STEP_INTO_S * (1 + number % _STEP_INTO))
        stopped_after_s = await _rests_after_cancel(session, server)
        await answering
    return stopped_after_s


async def _cancelled(url: str, server: ModelServer, topic: str) -> float:
    """Seconds from a cancel to the first look at a server at rest."""
    speaks = asyncio.Event()
    pieces = 0

    def count() -> None:
        nonlocal pieces
        pieces += 1
        if pieces == _CANCELLED_AFTER_PIECES:
            speaks.set()

    async with chat_session(url, max_tokens=_CONTEXT_TOKENS // 2) as session:
        answering = asyncio.create_task(ask(session, f"Write a long story about {topic}.", on_piece=count))
        async with asyncio.timeout(_PATIENCE_S * 4):
            await speaks.wait()
        stopped_after_s = await _rests_after_cancel(session, server)
        await answering
    return stopped_after_s


async def _rests_after_cancel(session: LiveSession, server: ModelServer) -> float:
    looks: list[tuple[float, bool]] = []
    cancelled_at = time.monotonic()
    await session.cancel_answer()
    while not looks or (looks[-1][1] and looks[-1][0] < cancelled_at + _REST_WITHIN_S):
        works = await _look(server)
        looks.append((time.monotonic(), works))
    return stopped_s(looks, cancelled_at)


async def _look(server: ModelServer) -> bool:
    """Whether the server works, soon."""
    await asyncio.sleep(_LOOK_EVERY_S)
    return await asyncio.to_thread(_works, server)


def _works(server: ModelServer) -> bool:
    request = urllib.request.Request(f"{server.url}/slots", headers={"Authorization": f"Bearer {server.api_key}"})
    with urllib.request.urlopen(request) as answer:
        return any(slot["is_processing"] for slot in json.load(answer))


def _topic(number: int) -> str:
    return _TOPICS[number % len(_TOPICS)]


def _errors(turns: Sequence[Turn]) -> int:
    return sum(1 for one in turns if one.error)
