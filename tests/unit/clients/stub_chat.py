"""The service's side of a chat, scripted: what it answers depends on the turn alone."""

import asyncio
from typing import Literal

from bus.contract.client_protocol import (
    AudioEnd,
    ChatCancel,
    ChatConfigure,
    ChatRequest,
    ChatReset,
    ChatSend,
    ClientMessage,
    ErrorEvent,
    SpeechEnded,
    SpeechStarted,
)
from tests.unit.clients.events import (
    cancelled,
    chat_failed,
    chat_started,
    delta,
    done,
    ended,
    final,
    partial,
)
from tests.unit.clients.stub_service import BYTES_PER_FINAL, StubSession

MODELS = ("smollm2", "scripted")
HOLD = "hold"
"""A turn that begins so is answered by half a sentence, which then goes on for ever."""
FAIL = "fail"
"""A turn that begins so fails, and so does each further try but the second."""
HALF = "It goes on and on"


class ChatScript:
    """Answers "hi there" by "You said: hi there.", word by word; each second of audio is an utterance."""

    def __init__(self) -> None:
        self.commands: list[ClientMessage] = []
        self.sessions = 0
        self._session: StubSession
        self._answers = 0
        self._holds = False
        self._failed_turn: str | None = None
        self._audio_bytes = self._segments = 0

    async def __call__(self, session: StubSession) -> None:
        self._session = session
        self.sessions += 1
        self._answers = 0
        await session.open()
        while True:
            message = await session.receive()
            if isinstance(message, bytes):
                await self._on_audio(len(message))
                continue
            self.commands.append(message)
            if isinstance(message, AudioEnd):
                break
            await self._on_command(message)
        await session.send(ended(session.next_seq(), audio_s=self._audio_bytes / BYTES_PER_FINAL))

    async def _on_command(self, message: ClientMessage) -> None:
        match message:
            case ChatSend(text=text, answer=wanted):
                await self._stop("turn")
                if wanted:
                    await self._answer(text)
            case ChatRequest() if self._failed_turn is not None:
                turn, self._failed_turn = self._failed_turn, None
                await self._answer(turn.removeprefix(FAIL).strip())
            case ChatRequest():
                await self._complain("nothing_to_answer", "there is nothing to answer")
            case ChatCancel() | ChatReset():
                await self._stop("client")
            case ChatConfigure(model=model) if model is not None and model not in MODELS:
                await self._complain("unknown_model", f"no such model; there are: {', '.join(MODELS)}")
            case _:
                pass

    async def _on_audio(self, size: int) -> None:
        session = self._session
        self._audio_bytes += size
        while self._audio_bytes >= (self._segments + 1) * BYTES_PER_FINAL:
            self._segments += 1
            segment, seq = self._segments, session.next_seq
            await session.send(SpeechStarted(seq=seq(), segment=segment, channel=0, start_s=0.0))
            await self._stop("speech")
            await session.send(partial(seq(), segment=segment, stable="this is", text="this is segm"))
            await session.send(SpeechEnded(seq=seq(), segment=segment, channel=0, end_s=1.0))
            await session.send(final(seq(), segment=segment, text=f"This is segment {segment}."))
            await self._answer(f"segment {segment}")

    async def _answer(self, turn: str) -> None:
        session = self._session
        self._answers += 1
        number = self._answers
        await session.send(chat_started(session.next_seq(), answer=number))
        if turn.startswith(FAIL):
            self._failed_turn = turn
            await session.send(chat_failed(session.next_seq(), answer=number))
            return
        self._holds = turn.startswith(HOLD)
        text = HALF if self._holds else f"You said: {turn}."
        for index, word in enumerate(text.split(" ")):
            await session.send(delta(session.next_seq(), f" {word}" if index else word, answer=number))
            await asyncio.sleep(0)
        if not self._holds:
            await session.send(done(session.next_seq(), text, answer=number))

    async def _stop(self, reason: Literal["client", "speech", "turn"]) -> None:
        if self._holds:
            self._holds = False
            await self._session.send(cancelled(self._session.next_seq(), HALF, answer=self._answers, reason=reason))

    async def _complain(self, code: str, message: str) -> None:
        seq = self._session.next_seq()
        await self._session.send(ErrorEvent(seq=seq, code=code, message=message, retryable=False, fatal=False))
