"""Async Python SDK: stream audio in, iterate over typed events.

    async with connect("ws://127.0.0.1:8080") as session:
        await session.send(pcm)             # 16 kHz mono linear16 unless `audio` says otherwise
        await session.end()
        async for event in session:
            if isinstance(event, TranscriptFinal):
                ...

With `chat=ChatOptions()` what is said gets an answer; typed turns do too, also in a session without audio:

    async with connect("ws://127.0.0.1:8080", audio=NO_AUDIO, chat=ChatOptions()) as session:
        async for piece in session.answer("What is a message broker?"):
            print(piece, end="", flush=True)

A session whose connection breaks, or whose gateway goes away, goes on on another one by itself where the service can
resume it: sending and iterating just take a moment longer. `on_connection` hears of it.

Events are the structs of `bus.contract.client_protocol`; errors are those of `bus.contract.errors` and
`clients.failures`. Send and iterate in two tasks for live audio: the text comes while you still send.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final, Literal, TypeAlias

from bus.contract.client_protocol import AudioFormat, ChatOptions, SessionStart, VadOptions
from bus.contract.work import Task
from clients.addresses import split_addresses
from clients.answering import AnswerStream
from clients.connection_changes import ConnectionChange, Reconnected, Reconnecting
from clients.live_session import LiveSession
from clients.reconnect import GIVE_UP_S
from clients.session import Phase

__all__ = [
    "DEFAULT_URL",
    "NO_AUDIO",
    "AnswerStream",
    "AudioFormat",
    "ChatOptions",
    "ConnectionChange",
    "LiveSession",
    "NoAudio",
    "Phase",
    "Reconnected",
    "Reconnecting",
    "VadOptions",
    "connect",
]

DEFAULT_URL = "ws://127.0.0.1:8080"


class _Audio(Enum):
    NONE = "none"


NoAudio: TypeAlias = Literal[_Audio.NONE]
NO_AUDIO: Final = _Audio.NONE
"""For `connect(audio=NO_AUDIO, chat=...)`: a session of typed turns alone."""


@asynccontextmanager
async def connect(
    url: str | Sequence[str] = DEFAULT_URL,
    *,
    key: str | None = None,
    audio: AudioFormat | NoAudio | None = None,
    chat: ChatOptions | None = None,
    language: str | None = None,
    task: Task = "transcribe",
    model: str | None = None,
    hotwords: Sequence[str] = (),
    prompt: str = "",
    vad: VadOptions | None = None,
    partials: bool = True,
    word_times: bool = True,
    open_timeout_s: float = 10.0,
    resume: bool = True,
    give_up_s: float = GIVE_UP_S,
    on_connection: Callable[[ConnectionChange], None] | None = None,
) -> AsyncIterator[LiveSession]:
    """Open a session and close it on leaving, whatever happened inside.

    `url` may leave out the path, or name several addresses of one service, which are tried in their order. `key` goes
    as bearer token. `audio` None is 16 kHz mono linear16. Leaving early cancels the session: what was not final yet is
    given up. It takes at most about two seconds even if the service does not answer.

    A lost connection is replaced within `give_up_s`; `on_connection`, called in the event loop, hears of it.
    `resume=False`, or a service that cannot resume: the session fails with its connection.

    Raises CannotConnect (nobody there), NotHarken (something else is there), Unauthorized, a `Busy` (which is also
    Overloaded, NoWorker, BusUnavailable or Draining; try again, after `retry_after_s` if it is set), or what else
    the service answers to the start: UnknownModel, UnsupportedAudio, InvalidMessage. ValueError for a session with
    neither audio nor chat.
    """
    if audio is NO_AUDIO and chat is None:
        raise ValueError("a session without audio needs chat=ChatOptions(...)")
    start = SessionStart(
        audio=None if audio is NO_AUDIO else audio or AudioFormat(),
        chat=chat,
        language=language,
        task=task,
        model=model,
        hotwords=tuple(hotwords),
        prompt=prompt,
        vad=vad or VadOptions(),
        partials=partials,
        word_times=word_times,
    )
    session = await LiveSession.open(
        split_addresses(url),
        start,
        key=key,
        open_timeout_s=open_timeout_s,
        resumes=resume,
        give_up_s=give_up_s,
        on_change=on_connection or _ignore,
    )
    try:
        yield session
    finally:
        await session.aclose()


def _ignore(change: ConnectionChange) -> None:
    pass
