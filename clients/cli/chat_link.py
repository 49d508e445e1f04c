"""Carries a conversation through a session: messages and the microphone out, events back."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import msgspec

from bus.contract.client_protocol import (
    AudioCommit,
    AudioFormat,
    ChatCancel,
    ChatCommand,
    ChatConfigure,
    ChatOptions,
    ChatRequest,
    ChatReset,
    ChatSend,
    ServerEvent,
    SessionStarted,
)
from bus.contract.errors import HarkenError
from clients.cli.microphone import BlockQueue, Microphone, MicrophoneError
from clients.sdk import NO_AUDIO, ConnectionChange, LiveSession, connect

MAX_WAITING_MESSAGES: Final = 64

Message: TypeAlias = ChatCommand | AudioCommit


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """What every session of a conversation asks of the service."""

    urls: tuple[str, ...]
    key: str | None
    language: str | None
    chat: ChatOptions
    microphone: Microphone | None
    """None: typed turns alone."""


class Listener(Protocol):
    """Who takes what comes of a session. All methods return at once."""

    def on_opened(self, started: SessionStarted) -> None:
        """The session is open."""

    def on_event(self, event: ServerEvent) -> None:
        """An event came."""

    def on_lost(self, error: HarkenError | None) -> None:
        """The session is over, or never opened. None: the service ended it."""

    def on_connection(self, change: ConnectionChange) -> None:
        """The connection was lost, or found again; the session goes on."""

    def on_microphone_lost(self, why: str) -> None:
        """The microphone gives no more; the session goes on."""


def open_session(
    settings: ChatSettings, chat: ChatOptions, *, on_connection: Callable[[ConnectionChange], None]
) -> AbstractAsyncContextManager[LiveSession]:
    """Open a session with `chat` instead of the options of the settings. Errors as in `connect`."""
    microphone = settings.microphone
    return connect(
        settings.urls,
        key=settings.key,
        audio=NO_AUDIO if microphone is None else AudioFormat(sample_rate=microphone.rate_hz),
        chat=chat,
        language=settings.language,
        partials=microphone is not None,
        word_times=False,
        on_connection=on_connection,
    )


async def listen(session: LiveSession, microphone: Microphone) -> None:
    """Send what the microphone hears until cancelled. Raises MicrophoneError, and HarkenError as `send` does."""
    async with aclosing(microphone.blocks(BlockQueue())) as blocks:
        async for block in blocks:
            await session.send(block)


class ChatLink:
    """One session after another, each by `run`. Used from the event loop alone.

    Messages wait in order until the session takes them. Overflow rule: one that finds `MAX_WAITING_MESSAGES` waiting
    is not taken, and `transmit` says so; those that wait when a session is lost are dropped with it.
    """

    def __init__(self, settings: ChatSettings, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener
        self._waiting: asyncio.Queue[Message] = asyncio.Queue(MAX_WAITING_MESSAGES)

    def transmit(self, message: Message) -> bool:
        """Queue a message for the session that is open or about to be; False if too many wait."""
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(message)
            return True
        return False

    async def run(self, chat: ChatOptions) -> None:
        """Open a session and carry it to its end, which the listener is told. Cancelled, it closes the session."""
        error: HarkenError | None = None
        try:
            async with open_session(self._settings, chat, on_connection=self._listener.on_connection) as session:
                self._listener.on_opened(session.started)
                await self._carry(session)
        except HarkenError as failure:
            error = failure
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._listener.on_lost(error)

    async def _carry(self, session: LiveSession) -> None:
        tasks = [asyncio.create_task(self._send(session))]
        if self._settings.microphone is not None:
            tasks.append(asyncio.create_task(self._listen(session, self._settings.microphone)))
        try:
            async for event in session:
                self._listener.on_event(event)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, session: LiveSession) -> None:
        with suppress(HarkenError):  # the iteration over the events says it too
            while True:
                await _transmit(session, await self._waiting.get())

    async def _listen(self, session: LiveSession, microphone: Microphone) -> None:
        try:
            with suppress(HarkenError):
                await listen(session, microphone)
        except MicrophoneError as error:
            self._listener.on_microphone_lost(str(error))


async def _transmit(session: LiveSession, message: Message) -> None:
    match message:
        case ChatSend(text=text, answer=answer):
            await session.say(text, answer=answer)
        case ChatRequest():
            await session.request_answer()
        case ChatCancel():
            await session.cancel_answer()
        case ChatReset():
            await session.reset_chat()
        case ChatConfigure():
            await session.configure_chat(**msgspec.structs.asdict(message))
        case AudioCommit():
            await session.commit()
