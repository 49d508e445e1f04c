"""One chat with its workers, broker and client, in virtual time; tests say what workers do."""

from collections.abc import Callable
from typing import Any, TypeVar

from bus.contract import chat_work as work
from bus.contract import client_protocol as client
from bus.contract.client_protocol import StageTimes
from bus.contract.presence import WorkerPresence
from bus.contract.records import ChatTurn
from bus.control.roster import Roster
from stream_gateway.chat.commands import ChatInput
from stream_gateway.chat.options import AnswerPatience, ChatConfig
from stream_gateway.chat.resumption import ChatResumption
from stream_gateway.chat.turns import Chat
from stream_gateway.session import events
from stream_gateway.session.effects import Ask, Dropped, Effect, Emit, SaveChat, StopAnswer, StoreTurn

T = TypeVar("T")
USAGE = work.ChatUsage(prompt_tokens=11, completion_tokens=5, cached_tokens=4)
TIMINGS = work.ChatTimings(queue_s=0.25, prefill_s=0.5, emit_s=0.0, generate_s=1.0)


class Desk:
    def __init__(
        self,
        *,
        workers: tuple[str, ...] = ("w1",),
        patience: AnswerPatience | None = None,
        service: str = "",
        resumed: ChatResumption | None = None,
        is_resumable: bool = True,
        **options: Any,
    ):
        self.now = 100.0
        self.roster = Roster(kind="LLM")
        self.alive = set(workers)
        self.free_slots = 1
        self.asks_succeed = True
        self.stores_succeed = True
        self.effects: list[Effect] = []
        config = ChatConfig(
            session="s1",
            tenant="t1",
            options=client.ChatOptions(**options),
            default_instructions=service,
            patience=patience or AnswerPatience(),
        )
        self.beat()
        self.chat = Chat(config, workers=self.roster, resumed=resumed, is_resumable=is_resumable)

    # --- inputs

    def beat(self) -> None:
        for worker in self.alive:
            presence = WorkerPresence(
                worker=worker, pool="std", model="smollm2", slots=1, state="ready", free_slots=self.free_slots
            )
            self.roster.on_presence(presence, self.now)

    def do(self, act: Callable[[], list[Effect]]) -> list[Effect]:
        since = len(self.effects)
        pending = [*act(), *self.chat.settle(self.now)]
        while pending:
            self.effects += pending
            following: list[Effect] = []
            for effect in pending:
                match effect:
                    case Ask(answer=answer, attempt=attempt):
                        following += self.chat.on_asked(answer, attempt, self.now, succeeded=self.asks_succeed)
                    case StoreTurn(turn):
                        following += self.chat.on_turn_stored(turn, self.now, succeeded=self.stores_succeed)
                    case _:
                        continue
                following += self.chat.settle(self.now)
            pending = following
        return self.effects[since:]

    def command(self, command: ChatInput) -> list[Effect]:
        return self.do(lambda: self.chat.on_command(command, self.now))

    def say(self, text: str, *, answer: bool = True, id: str | None = None) -> list[Effect]:
        return self.command(client.ChatSend(text=text, answer=answer, id=id))

    def begin_speech(self, segment: int) -> list[Effect]:
        return self.do(lambda: self.chat.hear([Emit(events.SpeechStarted(segment, 0, 0.0))]))

    def final(self, segment: int, text: str) -> list[Effect]:
        times = StageTimes(endpoint_s=0, queue_s=0, batch_wait_s=0, encode_s=0, decode_s=0, publish_s=0, total_s=0)
        final = events.Final(segment, 0, 0.0, 1.0, text, (), "en", "base", times)
        return self.do(lambda: self.chat.hear([Emit(final)]))

    def unheard(self, segment: int) -> list[Effect]:
        failed = events.Failed(segment, 0, 0.0, 1.0, "decode_failed", "")
        return self.do(lambda: self.chat.hear([Emit(failed)]))

    def reply(self, reply: work.ChatReply) -> list[Effect]:
        return self.do(lambda: self.chat.on_reply(reply, self.now))

    def taken(self, worker: str = "w1", **of: int) -> list[Effect]:
        return self.reply(work.ChatTaken(session="s1", worker=worker, model="smollm2", **self._of(of)))

    def delta(self, seq: int, text: str, **of: int) -> list[Effect]:
        return self.reply(work.ChatDelta(session="s1", seq=seq, text=text, tokens=len(text.split()), **self._of(of)))

    def done(self, deltas: int, *, worker: str = "w1", reason: work.FinishReason = "stop", **of: int) -> list[Effect]:
        return self.reply(
            work.ChatDone(
                session="s1",
                deltas=deltas,
                finish_reason=reason,
                usage=USAGE,
                timings=TIMINGS,
                model="smollm2",
                worker=worker,
                **self._of(of),
            )
        )

    def failed(self, code: str, *, retryable: bool = True, message: str = "it broke", **of: int) -> list[Effect]:
        return self.reply(
            work.ChatFailed(session="s1", code=code, message=message, retryable=retryable, worker="w1", **self._of(of))
        )

    def answered(self, text: str) -> list[Effect]:
        """A whole answer to what was asked last."""
        return self.taken() + self.delta(1, text) + self.done(1)

    def pass_time(self, seconds: float) -> list[Effect]:
        """Time passes, workers that live beat, timers fire."""
        since, until = len(self.effects), self.now + seconds
        while True:
            deadline = self.chat.deadline()
            if deadline is None or deadline > until:
                break
            assert deadline >= self.now - 1e-9
            self.now = max(deadline, self.now)
            self.beat()
            self.do(list)
            after = self.chat.deadline()
            assert after is None or after > self.now, "a timer that does not move on is a busy loop"
        self.now = until
        self.beat()
        return self.effects[since:]

    def _of(self, of: dict[str, int]) -> dict[str, int]:
        ask = self.asks()[-1]
        return {"answer": ask.answer, "attempt": ask.attempt} | of

    # --- outcomes

    def of(self, kind: type[T]) -> list[T]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def asks(self) -> list[Ask]:
        return self.of(Ask)

    def stops(self) -> list[tuple[int, int]]:
        return [(stop.answer, stop.upto_attempt) for stop in self.of(StopAnswer)]

    def events(self, kind: type[T]) -> list[T]:
        return [emit.event for emit in self.of(Emit) if isinstance(emit.event, kind)]

    def shown(self, answer: int = 1) -> str:
        return "".join(delta.text for delta in self.events(events.ChatDelta) if delta.answer == answer)

    def turns(self) -> list[ChatTurn]:
        return [store.turn for store in self.of(StoreTurn)]

    def saved(self) -> SaveChat:
        return self.of(SaveChat)[-1]

    def dropped(self) -> list[Dropped]:
        return self.of(Dropped)

    def asked(self) -> list[tuple[str, str]]:
        """Roles and texts of the newest request."""
        return [(message.role, message.text) for message in self.asks()[-1].messages]
