"""Random runs of a client against a service that can resume: nothing is lost, doubled or out of place."""

import random
from collections import deque

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bus.contract.client_protocol import (
    ChatOptions,
    ChatSend,
    ClientMessage,
    ServerEvent,
    SessionEnded,
    SessionStart,
    TranscriptFinal,
    encode_message,
)
from clients.failures import ConnectionLost
from clients.session import ClientSession, Phase
from tests.unit.clients.resumable import ResumableService

START = SessionStart(chat=ChatOptions())

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


class Run:
    """A client and a service, and two wires between them that may be cut with all that is on them."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.service = ResumableService(bytes_per_final=16, max_frame_bytes=5)
        self.client = ClientSession(START)
        self.finals: list[int] = []
        self.ends = 0
        self.put = b""
        self.places: set[int] = set()
        self.texts: list[str] = []
        self._out: deque[bytes | str] = deque()
        self._in: deque[str] = deque()
        self._dial(self.client.start_frame())

    def step(self) -> None:
        self.dice.choices(
            [self._speak, self._commit, self._say, self._carry, self._hear, self._cut], [4, 1, 1, 8, 8, 1]
        )[0]()

    def finish(self) -> None:
        self.client.end()
        while not self.client.is_over:
            self._carry()
            self._hear()
            if not self._in and self.client.phase is Phase.AWAY:
                self._dial(self.client.resume_frame())

    def _speak(self) -> None:
        data = self.dice.randbytes(self.dice.randint(1, 12))
        taken = self.client.sending().put_audio(data)
        self.put += data[:taken]

    def _commit(self) -> None:
        assert self.client.sending().put_commit()
        self.places.add(len(self.put))

    def _say(self) -> None:
        outgoing = self.client.sending()
        text = f"turn {len(self.texts)}"
        outgoing.put_command(outgoing.named(ChatSend(text=text)))
        self.texts.append(text)

    def _carry(self) -> None:
        """Some frames go out, and some of those arrive."""
        for _ in range(self.dice.randint(0, 3)):
            frame = self.client.next_frame()
            if frame is not None:
                self._out.append(frame)
        for _ in range(min(len(self._out), self.dice.randint(0, 4))):
            frame = self._out.popleft()
            self._reply(self.service.receive(_decoder.decode(frame) if isinstance(frame, str) else frame))

    def _hear(self) -> None:
        for _ in range(min(len(self._in), self.dice.randint(0, 4))):
            event = self.client.on_text(self._in.popleft())
            if isinstance(event, TranscriptFinal):
                self.finals.append(event.segment)
            self.ends += isinstance(event, SessionEnded)

    def _cut(self) -> None:
        if self.client.started is None:
            return
        self._out.clear()
        self._in.clear()
        if self.client.is_resuming:
            self.client.on_resume_failed(ConnectionLost("cut"))
        else:
            self.client.on_close(None, "")
        if self.dice.random() < 0.7:
            self._dial(self.client.resume_frame())

    def _dial(self, first: str) -> None:
        self._reply(self.service.connect(_decoder.decode(first)))
        if self.client.started is None:
            self._hear_all()

    def _hear_all(self) -> None:
        while self._in:
            self._hear()

    def _reply(self, events: list[ServerEvent]) -> None:
        self._in += [encode_message(event) for event in events]


@given(seed=st.integers(0, 2**32), steps=st.integers(0, 120))
def test_whatever_is_cut_the_service_has_all_audio_once_commits_in_their_places_and_turns_once(
    seed: int, steps: int
) -> None:
    run = Run(seed)
    for _ in range(steps):
        run.step()
    run.finish()
    assert run.client.phase is Phase.ENDED
    assert run.service.audio == run.put
    assert run.service.commits == run.places
    assert [text for _, text in run.service.turns] == run.texts
    assert run.finals == list(range(1, len(run.put) // 16 + 1))
    assert run.ends == 1
    assert run.client.missed_events == 0
