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

Events are the structs of `bus.contract.client_protocol`; errors are those of `bus.contract.errors` and
`clients.failures`. Send and iterate in two tasks for live audio: the text comes while you still send.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum
from functools import partial
from typing import Final, Literal, Self, TypeAlias

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bus.contract.client_protocol import (
    AudioFormat,
    ChatCancel,
    ChatCommand,
    ChatConfigure,
    ChatOptions,
    ChatRequest,
    ChatReset,
    ChatSend,
    ServerEvent,
    SessionStart,
    SessionStarted,
    VadOptions,
)
from bus.contract.errors import HarkenError
from bus.contract.work import Task
from clients.answering import AnswerStream
from clients.answers import AnswerDesk, ExpectedAnswer
from clients.connecting import close_socket, open_socket
from clients.failures import CannotConnect, SessionOver, from_close
from clients.inbox import EventInbox
from clients.session import ClientSession, Phase

__all__ = [
    "DEFAULT_URL",
    "NO_AUDIO",
    "AnswerStream",
    "AudioFormat",
    "ChatOptions",
    "LiveSession",
    "NoAudio",
    "VadOptions",
    "connect",
]

DEFAULT_URL = "ws://127.0.0.1:8080"


class _Audio(Enum):
    NONE = "none"


NoAudio: TypeAlias = Literal[_Audio.NONE]
NO_AUDIO: Final = _Audio.NONE
"""For `connect(audio=NO_AUDIO, chat=...)`: a session of typed turns alone."""

_LAST_EVENTS_TIMEOUT_S = 1.0


@asynccontextmanager
async def connect(
    url: str = DEFAULT_URL,
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
) -> AsyncIterator["LiveSession"]:
    """Open a session and close it on leaving, whatever happened inside.

    `url` may leave out the path; `key` goes as bearer token. `audio` None is 16 kHz mono linear16. Leaving early
    cancels the session: what was not final yet is given up. Leaving takes at most about two seconds even if the
    service does not answer.

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
    session = await LiveSession.open(url, start, key=key, open_timeout_s=open_timeout_s)
    try:
        yield session
    finally:
        await session.aclose()


class LiveSession:
    """One open session. Made by `connect`. One task may send while one other iterates, and another takes an answer.

    Iteration gives each event once, in order, except partials that a newer one of the same segment overtook
    while nobody took them, and the events of answers that `answer` asked for. Pieces of an answer that nobody took
    yet come as one. It ends after `session.ended`, and raises a HarkenError where the session fails,
    after all events that came before the failure.
    """

    def __init__(self, socket: ClientConnection, machine: ClientSession, started: SessionStarted) -> None:
        self._socket = socket
        self._machine = machine
        self._started = started
        self._inbox = EventInbox()
        self._answers = AnswerDesk()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._reader = asyncio.create_task(self._read(), name="harken-session-reader")

    @classmethod
    async def open(cls, url: str, start: SessionStart, *, key: str | None = None, open_timeout_s: float = 10.0) -> Self:
        """Open the socket and the session; the caller must `aclose` it. Errors as in `connect`."""
        machine = ClientSession(start)
        socket = await open_socket(url, key=key, open_timeout_s=open_timeout_s)
        try:
            async with asyncio.timeout(open_timeout_s):
                started = await _handshake(socket, machine)
        except TimeoutError:
            await close_socket(socket)
            raise CannotConnect(f"the service did not open the session within {open_timeout_s:g} s") from None
        except BaseException:
            await close_socket(socket)
            raise
        return cls(socket, machine, started)

    @property
    def started(self) -> SessionStarted:
        """What the service announced: session id, models, limits. Not repeated by the iteration."""
        return self._started

    @property
    def phase(self) -> Phase:
        """Where the session stands now."""
        return self._machine.phase

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will come: the session ended or failed."""
        return self._machine.is_over

    @property
    def draining_within_s(self) -> float | None:
        """Seconds that the gateway gave when it announced that it goes away, or None."""
        return self._machine.draining_within_s

    @property
    def committed_offset(self) -> int:
        """Sample frames whose transcript is stored, or that held no speech."""
        return self._machine.committed_offset

    async def send(self, data: bytes) -> None:
        """Send audio that follows all sent before; any length, cut anywhere.

        Waits while the network or the service takes no more (back-pressure). Raises SessionOver after `end()` or
        `session.ended`, NoChat in a session without audio, and the session's own error if it failed. After a
        cancelled call it is unknown how much of `data` went out, so send nothing more but `end()`.
        """
        for frame in self._machine.audio_frames(data):
            await self._send(frame)

    async def commit(self) -> None:
        """End the open utterance here: its final follows, and audio may go on.

        Without voice activity detection (`VadOptions(enabled=False)`) this is what ends an utterance; with it, it
        spares the wait for silence. Nothing happens if no utterance is open. Raises as `send` does.
        """
        await self._send(self._machine.commit_frame())

    async def say(self, text: str, *, answer: bool = True) -> None:
        """Send a typed turn; the events of its answer come by the iteration. It stops an answer that is running.

        `answer=False`: it is remembered, and not answered yet. Raises NoChat in a session without chat, SessionOver
        after `end()` or `session.ended`, and the session's own error if it failed, as all calls of the chat do.
        """
        await self._command(ChatSend(text=text, answer=answer))

    async def request_answer(self) -> None:
        """Have answered what was said or typed since the last answer, or try again where the last one failed."""
        await self._command(ChatRequest())

    async def cancel_answer(self) -> None:
        """Stop the running answer, if there is one; what was delivered of it stays in the conversation."""
        await self._command(ChatCancel())

    async def configure_chat(
        self,
        *,
        instructions: str | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        auto: bool | None = None,
    ) -> None:
        """Change how it is answered, from the next answer on. None leaves it as it is.

        What the service does not accept comes as an `error` event, and changes nothing.
        """
        change = ChatConfigure(
            instructions=instructions, model=model, max_tokens=max_tokens, temperature=temperature, auto=auto
        )
        await self._command(change)

    async def reset_chat(self) -> None:
        """Forget the conversation so far. It stops an answer that is running."""
        await self._command(ChatReset())

    def answer(self, text: str | None = None) -> AnswerStream:
        """Send a typed turn and iterate over the pieces of its answer; None does as `request_answer`.

        Nothing is sent until the iteration begins. The events of this answer go to it alone, all others to the
        iteration of the session, which need not be running. Leaving the loop early does not stop the answer:
        `cancel_answer` does, from another task too.
        """
        expected = ExpectedAnswer()
        command = ChatRequest() if text is None else ChatSend(text=text)
        return AnswerStream(expected, ask=partial(self._command, command, expected), wait=self._wait_for_answers)

    async def end(self) -> None:
        """Say that no more audio and no more turns come: finals and the running answer follow, then the iteration ends.

        Idempotent.
        """
        frame = self._machine.end_frame()
        if frame is None:
            return
        with suppress(SessionOver):  # the service ended the session in the same moment
            await self._send(frame)

    def __aiter__(self) -> Self:
        """Give the session itself: there is one stream of events."""
        return self

    async def __anext__(self) -> ServerEvent:
        """Wait for the next event. Cancel-safe: no event is lost."""
        while True:
            event = self._inbox.take()
            if event is not None:
                self._room.set()
                return event
            if self._nothing_comes():
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()

    async def aclose(self) -> None:
        """Close the session and its socket, within about two seconds. Idempotent."""
        self._reader.cancel()
        await asyncio.wait([self._reader])
        self._arrived.set()
        await close_socket(self._socket)

    def _nothing_comes(self) -> bool:
        """Tell whether no event will come any more; raises the failure of the session."""
        if self._machine.failure is not None:
            raise self._machine.failure
        if self._reader.done() and not self._reader.cancelled():
            self._reader.result()
        return self._machine.is_over or self._reader.done()

    async def _wait_for_answers(self) -> None:
        if self._nothing_comes():
            raise SessionOver("the session ended before the answer did")
        self._arrived.clear()
        await self._arrived.wait()

    async def _command(self, command: ChatCommand, expected: ExpectedAnswer | None = None) -> None:
        frame = self._machine.chat_frame(command)
        self._answers.expect(command, expected)
        await self._send(frame)

    async def _send(self, frame: str | bytes) -> None:
        # A service that fails the session may also have stopped reading: then only the reader learns of it.
        sending = asyncio.create_task(self._socket.send(frame))
        try:
            await asyncio.wait([sending, self._reader], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            await asyncio.wait([sending])
        if sending.cancelled() or isinstance(sending.exception(), ConnectionClosed):
            raise await self._closed_error()
        sending.result()

    async def _closed_error(self) -> HarkenError:
        # The service's reason may still wait to be read. The reader itself may wait for an application that
        # only sends, hence the limit.
        await asyncio.wait([self._reader], timeout=_LAST_EVENTS_TIMEOUT_S)
        if self._machine.is_over:
            return self._machine.failure or SessionOver("the service ended the session while something was sent")
        return from_close(self._socket.close_code, self._socket.close_reason or "")

    async def _read(self) -> None:
        try:
            await self._read_events()
        except ConnectionClosed:
            self._machine.on_close(self._socket.close_code, self._socket.close_reason or "")
        finally:
            self._arrived.set()

    async def _read_events(self) -> None:
        while not self._machine.is_over:
            while self._inbox.is_full:
                self._room.clear()
                await self._room.wait()
            frame = await self._socket.recv()
            event = self._machine.on_text(frame) if isinstance(frame, str) else None
            # A fatal error is raised by the iteration, not handed out as an event.
            if event is not None and self._machine.failure is None:
                if not self._answers.on_event(event):
                    self._inbox.put(event)
                self._arrived.set()


async def _handshake(socket: ClientConnection, machine: ClientSession) -> SessionStarted:
    try:
        await socket.send(machine.start_frame())
        while machine.phase is Phase.OPENING:
            frame = await socket.recv()
            if isinstance(frame, str):
                machine.on_text(frame)
    except ConnectionClosed:
        machine.on_close(socket.close_code, socket.close_reason or "")
    return machine.opened()
