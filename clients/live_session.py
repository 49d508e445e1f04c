"""One open session as the application sees it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Self

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bus.contract.client_protocol import (
    ChatCancel,
    ChatCommand,
    ChatConfigure,
    ChatRequest,
    ChatReset,
    ChatSend,
    ServerEvent,
    SessionStart,
    SessionStarted,
)
from bus.contract.errors import HarkenError
from clients.answering import AnswerStream
from clients.answers import AnswerDesk, ExpectedAnswer
from clients.connecting import close_socket, open_socket
from clients.connection_changes import ConnectionChange
from clients.failures import CannotConnect, NotHarken, SessionOver, from_close
from clients.inbox import EventInbox
from clients.lifeline import Lifeline
from clients.pulse import Pulse
from clients.reconnect import GIVE_UP_S, ReconnectPolicy
from clients.session import ClientSession, Phase
from clients.silence import ListeningConnection

_LAST_EVENTS_TIMEOUT_S = 1.0


class LiveSession:
    """One open session. Made by `connect`. One task may send while one other iterates, and another takes an answer.

    Iteration gives each event once, in order, except partials that a newer one of the same segment overtook
    while nobody took them, and the events of answers that `answer` asked for. Pieces of an answer that nobody took
    yet come as one. It ends after `session.ended`, and raises a HarkenError where the session fails,
    after all events that came before the failure.
    """

    def __init__(
        self,
        machine: ClientSession,
        socket: ListeningConnection,
        policy: ReconnectPolicy,
        *,
        key: str | None,
        on_change: Callable[[ConnectionChange], None],
    ) -> None:
        self._machine = machine
        self._inbox = EventInbox()
        self._answers = AnswerDesk()
        self._pulse = Pulse()
        self._lifeline = Lifeline(
            machine,
            socket,
            policy,
            key=key,
            pulse=self._pulse,
            has_room=lambda: not self._inbox.is_full,
            on_event=self._on_event,
            on_change=on_change,
        )
        self._running = asyncio.create_task(self._lifeline.run(), name="harken-session")

    @classmethod
    async def open(
        cls,
        addresses: Sequence[str],
        start: SessionStart,
        *,
        key: str | None = None,
        open_timeout_s: float = 10.0,
        resumes: bool = True,
        give_up_s: float = GIVE_UP_S,
        on_change: Callable[[ConnectionChange], None],
    ) -> Self:
        """Open the socket and the session; the caller must `aclose` it. Errors as in `connect`."""
        for index, address in enumerate(addresses):
            machine = ClientSession(start, resumes=resumes)
            try:
                socket = await _open(address, machine, key=key, open_timeout_s=open_timeout_s)
            except HarkenError as error:
                is_elsewhere_too = error.fault == "client" and not isinstance(error, NotHarken)
                if is_elsewhere_too or index == len(addresses) - 1:
                    raise
            else:
                policy = ReconnectPolicy(addresses, current=index, give_up_s=give_up_s)
                return cls(machine, socket, policy, key=key, on_change=on_change)
        raise ValueError("at least one address is needed")

    @property
    def started(self) -> SessionStarted:
        """What the service announced, at the start or when it was resumed: session id, models, limits.

        The start is not repeated by the iteration.
        """
        if self._machine.started is None:
            raise SessionOver("the session is not open yet")
        return self._machine.started

    @property
    def phase(self) -> Phase:
        """Where the session stands now. AWAY and RESUMING: the connection is lost, and the session is not."""
        return self._machine.phase

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will come: the session ended or failed."""
        return self._machine.is_over

    @property
    def draining_within_s(self) -> float | None:
        """Seconds that the gateway gave when it announced that it goes away; None once the session has left it."""
        return self._machine.draining_within_s

    @property
    def committed_offset(self) -> int:
        """Sample frames whose transcript is stored, or that held no speech."""
        return self._machine.committed_offset

    async def send(self, data: bytes) -> None:
        """Send audio that follows all sent before; any length, cut anywhere.

        Waits while the network or the service takes no more (back-pressure). While the connection is lost it takes
        32 MiB, and waits then. Raises SessionOver after `end()` or `session.ended`, NoChat in a session without audio,
        and the session's own error if it failed. After a cancelled call it is unknown how much of `data` was taken, so
        send nothing more but `end()`.
        """
        rest = memoryview(data)
        while True:
            taken = self._machine.sending().put_audio(rest)
            rest = rest[taken:]
            await self._carried()
            if not rest:
                return
            if not taken:
                await self._pulse.until(self._has_room)

    async def commit(self) -> None:
        """End the open utterance here: its final follows, and audio may go on.

        Without voice activity detection (`VadOptions(enabled=False)`) this is what ends an utterance; with it, it
        spares the wait for silence. Nothing happens if no utterance is open. Raises as `send` does.
        """
        await self._pulse.until(lambda: self._machine.sending().put_commit())
        await self._carried()

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
        self._machine.end()
        with suppress(SessionOver):  # the service ended the session in the same moment
            await self._carried()

    def __aiter__(self) -> Self:
        """Give the session itself: there is one stream of events."""
        return self

    async def __anext__(self) -> ServerEvent:
        """Wait for the next event. Cancel-safe: no event is lost."""
        while True:
            event = self._inbox.take()
            if event is not None:
                self._pulse.beat()
                return event
            if self._nothing_comes():
                raise StopAsyncIteration
            await self._pulse.next_beat()

    async def aclose(self) -> None:
        """Close the session and its socket, within about two seconds. Idempotent."""
        self._running.cancel()
        await asyncio.wait([self._running])
        self._pulse.beat()
        await close_socket(self._lifeline.socket)

    def _nothing_comes(self) -> bool:
        """Tell whether no event will come any more; raises the failure of the session."""
        if self._machine.failure is not None:
            raise self._machine.failure
        self._raise_fault()
        return self._machine.is_over or self._running.done()

    def _raise_fault(self) -> None:
        if self._running.done() and not self._running.cancelled():
            self._running.result()

    async def _wait_for_answers(self) -> None:
        if self._nothing_comes():
            raise SessionOver("the session ended before the answer did")
        await self._pulse.next_beat()

    async def _command(self, command: ChatCommand, expected: ExpectedAnswer | None = None) -> None:
        def named() -> ChatCommand:
            return self._machine.sending().named(command, running=self._machine.running_answer)

        await self._pulse.until(lambda: self._machine.sending().has_room_for(named()))
        outgoing, final = self._machine.sending(), named()
        self._answers.expect(final, expected)
        outgoing.put_command(final)
        await self._carried()

    async def _carried(self) -> None:
        """Wait until what was put is carried away, or need not be waited for."""
        self._pulse.beat()
        await self._pulse.until(lambda: self._running.done() or not self._lifeline.is_busy)
        if self._running.done() and not self._machine.is_over:
            self._raise_fault()
            raise SessionOver("the session was left")
        if not self._machine.is_over and not self._lifeline.can_write and self._machine.grant is None:
            raise await self._closed_error()
        if self._machine.has_unsent and self._machine.is_over:
            raise self._machine.failure or SessionOver("the service ended the session while something was sent")

    async def _closed_error(self) -> HarkenError:
        # The service's reason may still wait to be read. The reader itself may wait for an application that
        # only sends, hence the limit.
        await asyncio.wait([self._running], timeout=_LAST_EVENTS_TIMEOUT_S)
        if self._machine.is_over:
            return self._machine.failure or SessionOver("the service ended the session while something was sent")
        socket = self._lifeline.socket
        return from_close(socket.close_code, socket.close_reason or "")

    def _has_room(self) -> bool:
        return self._running.done() or self._machine.sending().replay.room_bytes > 0

    def _on_event(self, event: ServerEvent) -> None:
        if not self._answers.on_event(event):
            self._inbox.put(event)


async def _open(address: str, machine: ClientSession, *, key: str | None, open_timeout_s: float) -> ListeningConnection:
    socket = await open_socket(address, key=key, open_timeout_s=open_timeout_s)
    try:
        async with asyncio.timeout(open_timeout_s):
            await _handshake(socket, machine)
    except TimeoutError:
        await close_socket(socket)
        raise CannotConnect(f"the service did not open the session within {open_timeout_s:g} s") from None
    except BaseException:
        await close_socket(socket)
        raise
    return socket


async def _handshake(socket: ClientConnection, machine: ClientSession) -> None:
    try:
        await socket.send(machine.start_frame())
        while machine.phase is Phase.OPENING:
            frame = await socket.recv()
            if isinstance(frame, str):
                machine.on_text(frame)
    except ConnectionClosed:
        machine.on_close(socket.close_code, socket.close_reason or "")
    if machine.failure is not None:
        raise machine.failure
