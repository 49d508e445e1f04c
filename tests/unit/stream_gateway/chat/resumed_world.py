"""A chat over gateways of which each dies at any moment: what broker, worker and client have is all that stays.

Nothing happens by itself: each step is one thing out of those that may happen next, so that anything may be under way
when a gateway dies. The worker's answer is a function of the last message, and it goes on after any prefill of it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from bus.contract import chat_work as work
from bus.contract import client_protocol as client
from bus.contract.client_protocol import HeldAnswer, StageTimes
from bus.contract.errors import NothingToAnswer
from bus.contract.presence import WorkerPresence
from bus.contract.records import ChatTurn, Record, SessionResumed, TranscriptFinal
from bus.contract.session_record import SessionRecord
from bus.control.roster import Roster
from stream_gateway.chat.options import ChatConfig
from stream_gateway.chat.resumption import resume_chat
from stream_gateway.chat.turns import Chat
from stream_gateway.session import events
from stream_gateway.session.effects import Ask, Effect, Emit, SaveChat, StopAnswer, StoreTurn
from tests.unit.stream_gateway.chat.desk import TIMINGS, USAGE

Act = Callable[[], None]
_NO_TIMES = StageTimes(endpoint_s=0, queue_s=0, batch_wait_s=0, encode_s=0, decode_s=0, publish_s=0, total_s=0)
_STEP_S = 0.05
_ENDS = (events.ChatDone, events.ChatCancelled, events.ChatFailed)


def answer_to(text: str) -> str:
    return "".join(f"{text.split()[-1]}.{number} " for number in range(6))


@dataclass(frozen=True, slots=True)
class Resumed:
    """The client knows all that it had missed."""


class Person:
    """The client, with what a real one keeps to resume."""

    def __init__(self) -> None:
        self.unstored: dict[str, client.ChatSend] = {}
        self.request: client.ChatRequest | None = None
        self.segments = 0
        self.heard: set[int] = set()
        self.texts: dict[int, str] = {}
        self.names: dict[int, str | None] = {}
        self.ends: dict[int, events.SessionEvent] = {}
        self.stored: list[events.TurnStored] = []

    def held(self) -> HeldAnswer | None:
        if not self.texts:
            return None
        newest = max(self.texts)
        return HeldAnswer(answer=newest, text=None if newest in self.ends else self.texts[newest])

    def see(self, event: object) -> None:
        match event:
            case events.TurnStored():
                self.stored.append(event)
                if event.id is not None:
                    self.unstored.pop(event.id, None)
            case events.ChatStarted(answer, _, id):
                assert answer not in self.texts, "begun once"
                assert set(self.texts) == set(self.ends), "one at a time"
                self.texts[answer], self.names[answer] = "", id
                self.request = None
            case events.ChatDelta(answer, text):
                assert answer not in self.ends
                self.texts[answer] += text
            case events.ChatDone() | events.ChatCancelled() | events.ChatFailed():
                assert event.answer not in self.ends, "ended once"
                assert self.texts[event.answer] == event.text, "no piece is lost or doubled"
                self.ends[event.answer] = event
            case events.Final(segment=segment):
                assert segment not in self.heard
                self.heard.add(segment)
                self.segments = segment
            case _:
                pass


@dataclass(slots=True)
class _Gateway:
    """What dies with a gateway."""

    chat: Chat
    to_store: deque[ChatTurn] = field(default_factory=deque)
    to_save: deque[SaveChat] = field(default_factory=deque)
    to_ask: deque[Ask] = field(default_factory=deque)
    to_tell: deque[object] = field(default_factory=deque)
    replies: deque[work.ChatReply] = field(default_factory=deque)
    acknowledged: deque[ChatTurn] = field(default_factory=deque)
    finals: deque[events.Final] = field(default_factory=deque)


class World:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.slow = random.choice(["_store", "_acknowledge", "_save", "_ask", "_reply", "_hear", "_tell"])
        """What mostly waits for all else."""
        self.now = 100.0
        self.epoch = 0
        self.records: list[Record] = []
        self.saved: SaveChat | None = None
        self.asked: dict[int, str] = {}
        self.stops: list[StopAnswer] = []
        self.person = Person()
        self.speaking: tuple[int, str] | None = None
        self.roster = Roster(kind="LLM")
        presence = WorkerPresence(worker="w1", pool="std", model="m", slots=9, state="ready", free_slots=0)
        self.roster.on_presence(presence, self.now)
        self.options = client.ChatOptions()
        self.config = ChatConfig(session="s1", tenant="t1", options=self.options)
        self.gateway = _Gateway(Chat(self.config, workers=self.roster))

    # --- what the client does

    def send(self, text: str, *, answer: bool = True) -> None:
        sent = client.ChatSend(text=text, answer=answer, id=f"id of {text}")
        assert sent.id is not None
        self.person.unstored[sent.id] = sent
        self._command(sent)

    def ask_for(self, id: str) -> None:
        self.person.request = client.ChatRequest(id=id)
        self._request()

    def speak(self, text: str) -> None:
        while self.speaking is not None:
            self.step()
        self._speak(text)

    def _speak(self, text: str) -> None:
        segment = 1 + max([0, *(one.segment for one in self.records if isinstance(one, TranscriptFinal))])
        self.speaking = (segment, text)
        self._do(lambda chat: chat.hear([Emit(events.SpeechStarted(segment, 0, 0.0))]))

    # --- time

    def step(self) -> bool:
        """One of the things that may happen next does, and time passes only where there are none; False at rest."""
        may_happen = self._may_happen()
        if may_happen:
            slow = [act for act in may_happen if act.__name__ == self.slow]
            quick = [act for act in may_happen if act not in slow]
            self.random.choice(quick if quick and self.random.random() < 0.9 else may_happen)()
            return True
        self.now += _STEP_S
        self.roster.renew(self.now)
        self._do(lambda chat: [])
        return self.gateway.chat.deadline() is not None

    def rest(self) -> None:
        """Until nothing is under way."""
        for _ in range(2000):
            if not self.step():
                return
        raise AssertionError("it comes to rest")

    def die(self) -> None:
        """The gateway is gone, and the client is back on another one."""
        self.epoch += 1
        self.records.append(SessionResumed(tenant="t1", session="s1", epoch=self.epoch))
        saved = self.saved
        record = SessionRecord(
            epoch=self.epoch,
            gateway="g",
            token_sha256="",
            expires_at=0.0,
            start=client.SessionStart(chat=self.options),
            chat=saved.options if saved else None,
            messages=saved.messages if saved else (),
            turns=saved.turns if saved else 0,
            answers=saved.answers if saved else 0,
        )
        held = self.person.held()
        resumed = resume_chat(record, self.records, held, self.epoch, (self.person.segments,))
        self.gateway = _Gateway(Chat(self.config, workers=self.roster, resumed=resumed))
        missed = deque(resumed.missed)
        for index, one in enumerate(self.records):
            if isinstance(one, TranscriptFinal) and one.segment > self.person.segments:
                self.gateway.to_tell.append(_final(one.segment, one.text))
            while missed and missed[0].index == index:
                self.gateway.to_tell.append(missed.popleft().event)
        self.gateway.to_tell += [*(one.event for one in missed), Resumed()]
        self._do(lambda chat: [])

    # --- machinery

    def _may_happen(self) -> list[Act]:
        gateway = self.gateway
        acts = {
            self._store: gateway.to_store,
            self._acknowledge: gateway.acknowledged,
            self._save: gateway.to_save,
            self._ask: gateway.to_ask,
            self._reply: gateway.replies,
            self._hear: gateway.finals,
            self._tell: gateway.to_tell,
        }
        possible: list[Act] = [act for act, waits in acts.items() if waits]
        told = not any(isinstance(one, Resumed) for one in gateway.to_tell)
        return [*possible, self._record_speech] if self.speaking and told else possible

    def _do(self, act: Callable[[Chat], list[Effect]]) -> None:
        chat, gateway = self.gateway.chat, self.gateway
        effects = act(chat)
        while effects:
            following: list[Effect] = []
            for effect in effects:
                match effect:
                    case Emit(event):
                        gateway.to_tell.append(event)
                    case Ask():
                        gateway.to_ask.append(effect)
                        following += chat.on_asked(effect.answer, effect.attempt, self.now, succeeded=True)
                    case StoreTurn(turn):
                        gateway.to_store.append(turn)
                    case SaveChat():
                        gateway.to_save.append(effect)
                    case StopAnswer():
                        self.stops.append(effect)
                        if gateway.replies and gateway.replies[0].attempt <= effect.upto_attempt:
                            gateway.replies.clear()
                    case _:
                        raise AssertionError(effect)
            effects = following
        settled = chat.settle(self.now)
        if settled:
            self._do(lambda chat: settled)

    def _command(self, command: client.ChatCommand) -> None:
        self._do(lambda chat: chat.on_command(command, self.now))

    def _request(self) -> None:
        assert self.person.request is not None
        try:
            self._command(self.person.request)
        except NothingToAnswer:
            self.person.request = None

    def _store(self) -> None:
        turn = self.gateway.to_store.popleft()
        self.records.append(turn)
        self.gateway.acknowledged.append(turn)

    def _acknowledge(self) -> None:
        turn = self.gateway.acknowledged.popleft()
        self._do(lambda chat: chat.on_turn_stored(turn, self.now, succeeded=True))

    def _save(self) -> None:
        self.saved = self.gateway.to_save.popleft()

    def _ask(self) -> None:
        ask = self.gateway.to_ask.popleft()
        text = answer_to(ask.messages[-1].text)
        self.asked[ask.answer] = text
        assert text.startswith(ask.prefill), "it goes on with what it was an answer to"
        of = {"session": "s1", "answer": ask.answer, "attempt": ask.attempt}
        rest = text[len(ask.prefill) :]
        pieces = [rest[at : at + 7] for at in range(0, len(rest), 7)]
        self.gateway.replies.clear()  # of an answer that was stopped
        self.gateway.replies += [
            *(work.ChatDelta(seq=seq, text=piece, **of) for seq, piece in enumerate(pieces, start=1)),  # type: ignore[arg-type]
            work.ChatDone(
                deltas=len(pieces),
                finish_reason="stop",
                usage=USAGE,
                timings=TIMINGS,
                model="m",
                worker="w1",
                **of,  # type: ignore[arg-type]
            ),
        ]

    def _reply(self) -> None:
        reply = self.gateway.replies.popleft()
        self._do(lambda chat: chat.on_reply(reply, self.now))

    def _record_speech(self) -> None:
        assert self.speaking is not None
        (segment, text), self.speaking = self.speaking, None
        self.records.append(_record(segment, text))
        self.gateway.finals.append(_final(segment, text))

    def _hear(self) -> None:
        final = self.gateway.finals.popleft()
        self.gateway.to_tell.append(final)
        self._do(lambda chat: chat.hear([Emit(final)]))

    def _tell(self) -> None:
        event = self.gateway.to_tell.popleft()
        if not isinstance(event, Resumed):
            return self.person.see(event)
        for sent in tuple(self.person.unstored.values()):
            self._command(sent)
        if self.person.request is not None:
            self._request()
        if self.speaking is not None:
            self._speak(self.speaking[1])


def _record(segment: int, text: str) -> TranscriptFinal:
    return TranscriptFinal(tenant="t1", session="s1", segment=segment, start_s=0.0, end_s=1.0, text=text)


def _final(segment: int, text: str) -> events.Final:
    return events.Final(segment, 0, 0.0, 1.0, text, (), None, "", _NO_TIMES)
