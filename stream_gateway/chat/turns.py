"""Turn-taking in one session: who speaks, what was said, and the one answer that may run. Pure.

Theory of operation. Turns of the user enter the conversation in the order in which they *began*: a typed turn that
comes while somebody speaks waits for that utterance's text. Once nobody speaks and something is to be answered, the
answer begins; there is never more than one. Whoever begins to speak, or sends another turn, stops it: of a stopped
answer the conversation keeps what was delivered, no more. What a stopped or failed answer did not reach can be asked
for again. A client may have it that speech stops nothing: then a spoken turn begins when the speech is over.

Every turn is stored once it is over, one at a time and in order, each under an id that makes a repeated store harmless.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

from bus.contract import chat_work as work
from bus.contract.client_protocol import (
    ChatCancel,
    ChatConfigure,
    ChatOptions,
    ChatRequest,
    ChatReset,
    ChatSend,
    ChatTimes,
    ChatUsage,
)
from bus.contract.errors import InvalidMessage, NothingToAnswer, NoWorker, UnknownModel
from bus.contract.records import ChatTurn
from stream_gateway.chat.answer import Answer, Failed, LlmWorkers, Wish
from stream_gateway.chat.commands import AddTurn, AskAnswer, ChatInput, ForgetTurns, MindSpeech, TurnRef
from stream_gateway.chat.conversation import Conversation
from stream_gateway.chat.options import ChatConfig, check_text, configured
from stream_gateway.chat.turn_store import TurnStore
from stream_gateway.session import events
from stream_gateway.session.effects import Effect, Emit, SaveChat

_MAX_WAITING = 64
"""Typed turns that may wait for one utterance's text."""

StopReason: TypeAlias = Literal["client", "speech", "turn", "session"]
End: TypeAlias = Literal["complete", "length", "cancelled", "failed"]
Source: TypeAlias = Literal["speech", "typed", "model"]


@dataclass(slots=True)
class _Began:
    """A turn of the user that began; spoken ones get their text later."""

    segment: int | None
    text: str | None = field(repr=False)
    answer: bool
    role: work.Role = "user"
    ref: TurnRef | None = None


class Chat:
    """The machine of one session's chat. `settle` is called after every input, and at `deadline`."""

    def __init__(self, config: ChatConfig, *, workers: LlmWorkers) -> None:
        self._config = config
        self._options = config.options
        self._workers = workers
        self._conversation = Conversation()
        self._store = TurnStore(config)
        self._began: deque[_Began] = deque()
        self._answer: Answer | None = None
        self._answers = 0
        self._wanted = False
        """Something is to be answered as soon as nobody speaks."""
        self._asked: AskAnswer | None = None
        """How that answer is wanted, if a client has asked for it; then of the one that runs."""
        self._answers_to: TurnRef | None = None
        """The newest turn that the running answer knows."""
        self._interrupts = True
        self._cut_off = False
        """Somebody began to speak before anything came of an answer. If they said nothing, it is begun again."""
        self._last_worker: str | None = None
        self._listened_to = True
        self._bus_connected = True

    @property
    def is_idle(self) -> bool:
        """Whether nothing is owed: no answer, no record."""
        return self._answer is None and not self._wanted and self._store.is_empty

    @property
    def is_answering(self) -> bool:
        """Whether the client waits for an answer."""
        return self._answer is not None or self._wanted

    def model(self, now: float) -> str | None:
        """Who would answer now; None if nobody can."""
        try:
            return self._workers.pool_for(self._options.model, now).model
        except (NoWorker, UnknownModel):
            return None

    def on_command(self, command: ChatInput, now: float) -> list[Effect]:
        """The client typed something, or wants something. Raises a ClientError, and then nothing has changed."""
        match command:
            case ChatSend(text=text, answer=answer):
                return self._on_typed(text, answer=answer)
            case ChatRequest():
                if not (self._began or self._conversation.is_unanswered or self.is_answering):
                    raise NothingToAnswer("nothing was said or typed since the last answer")
                self._wanted = self._answer is None
                return []
            case ChatCancel():
                return self._abandon("client")
            case ChatConfigure():
                self._options = self._changed(command, now)
                return []
            case ChatReset():
                self._began = deque(turn for turn in self._began if turn.segment is not None)
                effects = self._abandon("client")
                self._conversation.clear()
                return [*effects, self._save()]
            case AddTurn():
                return self._on_added(command)
            case ForgetTurns(refs):
                self._conversation.forget(refs)
                self._began = deque(turn for turn in self._began if turn.ref not in refs)
                return [*self._take_turns(), self._save()]
            case AskAnswer():
                return self._on_asked_for(command)
            case MindSpeech(interrupts):
                self._interrupts = interrupts
                return []
            case _:
                assert_never(command)

    def hear(self, effects: Sequence[Effect]) -> list[Effect]:
        """Listen to what the session tells its client of speech."""
        heard: list[Effect] = []
        for effect in effects:
            match effect:
                case Emit(events.SpeechStarted(segment=segment)) if self._interrupts:
                    self._on_turn_spoken(segment)
                    heard += self._stop("speech")
                case Emit(events.SpeechEnded(segment=segment)):
                    self._on_turn_spoken(segment)
                case Emit(events.SpeechCleared(segment=segment)):
                    heard += self._on_text(segment, "")
                case Emit(events.Final(segment=segment, text=text)):
                    heard += self._on_text(segment, text)
                case Emit(events.Failed(segment=segment)):
                    heard += self._on_text(segment, "")
                case _:
                    pass
        return heard

    def on_asked(self, answer: int, attempt: int, now: float, *, succeeded: bool) -> list[Effect]:
        """An `Ask` was accepted by the broker, or was not."""
        if self._answer is None or self._answer.number != answer:
            return []
        return self._answer.on_asked(attempt, now, succeeded=succeeded)

    def on_reply(self, reply: work.ChatReply, now: float) -> list[Effect]:
        """A worker said something; may be late, or of an answer that was stopped."""
        if self._answer is None or self._answer.number != reply.answer:
            return []
        return self._answer.on_reply(reply, now)

    def on_given_up(self, answer: int, attempt: int, now: float) -> list[Effect]:
        """The broker will not deliver this attempt again."""
        if self._answer is None or self._answer.number != answer:
            return []
        return self._answer.on_given_up(attempt, now)

    def on_turn_stored(self, turn: ChatTurn, now: float, *, succeeded: bool) -> list[Effect]:
        """A `StoreTurn` was acknowledged, or was not."""
        self._store.on_stored(turn, now, succeeded=succeeded)
        return []

    def on_bus(self, now: float, *, connected: bool) -> list[Effect]:
        """The bus went or came back."""
        self._bus_connected = connected
        if not connected:
            return []
        self._store.on_bus_back(now)
        return self._answer.on_bus_back(now) if self._answer is not None else []

    def on_gone(self) -> list[Effect]:
        """Nobody reads answers any more. What was said is still stored."""
        self._listened_to = False
        return self._abandon("session")

    def settle(self, now: float) -> list[Effect]:
        """What follows from any change."""
        effects: list[Effect] = []
        if self._bus_connected and self._answer is not None:
            effects += self._answer.settle(now)
        if self._answer is not None and self._answer.outcome is not None:
            effects += self._finish(self._answer, self._answer.outcome, now)
        if self._wanted and not self._began and self._answer is None:
            effects += self._begin(now)
        return effects + (self._store.settle(now) if self._bus_connected else [])

    def deadline(self) -> float | None:
        """When to call `settle` next; None if only an input can change anything."""
        if not self._bus_connected:
            return None
        times = [self._store.deadline(), self._answer.deadline() if self._answer is not None else None]
        return min((time for time in times if time is not None), default=None)

    def _on_typed(self, text: str, *, answer: bool) -> list[Effect]:
        check_text(text)
        if len(self._began) >= _MAX_WAITING:
            raise InvalidMessage(f"chat.send: {_MAX_WAITING} turns wait for the text of what is being said")
        effects = self._stop("turn")
        self._began.append(_Began(None, text, answer))
        return effects + self._take_turns()

    def _on_added(self, turn: AddTurn) -> list[Effect]:
        check_text(turn.text)
        if len(self._began) >= _MAX_WAITING:
            raise InvalidMessage(f"{_MAX_WAITING} turns wait for the text of what is being said")
        began = _Began(None, turn.text, answer=False, role=turn.role, ref=turn.ref)
        refs = [one.ref for one in self._began]
        if turn.after is None:
            self._began.append(began)
        elif turn.after in refs:
            self._began.insert(refs.index(turn.after) + 1, began)
        else:
            self._add(turn.role, turn.text, source="typed", ref=turn.ref, after=turn.after)
            return [self._save()]
        return self._take_turns()

    def _on_asked_for(self, asked: AskAnswer) -> list[Effect]:
        self._options_of(asked)
        accepted = not self.is_answering
        if accepted:
            self._wanted, self._asked = True, asked
        return [Emit(events.AnswerWanted(asked.key, accepted))]

    def _on_turn_spoken(self, segment: int) -> None:
        """A turn of speech begins, unless it has."""
        ref = TurnRef("segment", segment)
        if all(turn.ref != ref for turn in self._began):
            self._began.append(_Began(segment, None, answer=self._options.auto, ref=ref))

    def _on_text(self, segment: int, text: str) -> list[Effect]:
        for turn in self._began:
            if turn.segment == segment:
                turn.text = text
        return self._take_turns()

    def _take_turns(self) -> list[Effect]:
        """Move what is known, in order, into the conversation."""
        before = len(self._began)
        while self._began and self._began[0].text is not None:
            turn = self._began.popleft()
            if turn.text:
                source: Source = "typed" if turn.segment is None else "speech"
                self._add(turn.role, turn.text, source=source, segment=turn.segment, ref=turn.ref)
            wanted = turn.answer if turn.text else self._cut_off
            self._wanted = (self._wanted or wanted) and self._listened_to
            self._cut_off = False
        return [self._save()] if len(self._began) < before else []

    def _begin(self, now: float) -> list[Effect]:
        self._wanted = False
        asked = self._asked
        if asked is None and not self._conversation.is_unanswered:
            return []
        self._answers += 1
        self._answers_to = self._conversation.newest
        options = self._options_of(asked)
        known = self._conversation if asked is None or asked.context is None else Conversation(asked.context)
        wish = Wish(
            number=self._answers,
            messages=known.prompt(
                options.instructions or self._config.default_instructions, must_answer=asked is not None
            ),
            model=options.model,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
        )
        patience = self._config.patience
        self._answer = Answer(wish, workers=self._workers, patience=patience, prefer=self._last_worker, now=now)
        try:
            model = self._answer.route(now).model
        except (NoWorker, UnknownModel):
            model = options.model or ""  # the answer itself fails, and says why
        started = [Emit(events.ChatStarted(self._answers, model))]
        effects = started + self._answer.settle(now)
        if self._answer.outcome is not None:
            effects += self._finish(self._answer, self._answer.outcome, now)
        return effects

    def _finish(self, answer: Answer, outcome: work.ChatDone | Failed, now: float) -> list[Effect]:
        self._answer = None
        if isinstance(outcome, Failed):
            self._add_answer(answer, end="failed")
            return [Emit(events.ChatFailed(answer.number, answer.text, outcome.error))]
        self._last_worker = answer.worker
        end: End = "complete" if outcome.finish_reason == "stop" else "length"
        self._add_answer(answer, end=end, model=outcome.model)
        first_at = now if answer.first_delta_at is None else answer.first_delta_at
        done = events.ChatDone(
            answer=answer.number,
            text=answer.text,
            finish_reason=outcome.finish_reason,
            usage=ChatUsage(
                prompt_tokens=outcome.usage.prompt_tokens,
                completion_tokens=outcome.usage.completion_tokens,
                cached_tokens=outcome.usage.cached_tokens,
            ),
            times=ChatTimes(
                queue_s=outcome.timings.queue_s,
                prefill_s=outcome.timings.prefill_s,
                first_delta_s=first_at - answer.asked_at,
                total_s=now - answer.asked_at,
            ),
            model=outcome.model,
        )
        return [Emit(done), self._save()]

    def _abandon(self, reason: StopReason) -> list[Effect]:
        """Neither the answer that runs nor the one that waits is wanted any more."""
        self._wanted = False
        effects = self._stop(reason)
        self._asked = None
        return effects

    def _stop(self, reason: StopReason) -> list[Effect]:
        answer, self._answer = self._answer, None
        if answer is None:
            return []
        self._last_worker = answer.worker
        self._cut_off = reason == "speech" and not answer.text and self._asked is None
        self._add_answer(answer, end="cancelled")
        return [*answer.stop(), Emit(events.ChatCancelled(answer.number, answer.text, reason)), self._save()]

    def _add(
        self,
        role: work.Role,
        text: str,
        *,
        source: Source,
        segment: int | None = None,
        ref: TurnRef | None,
        after: TurnRef | Literal["start"] | None = None,
    ) -> None:
        self._conversation.add(role, text, ref, after=after)
        if role != "system":
            self._store.add(role, text, source=source, segment=segment)

    def _add_answer(self, answer: Answer, *, end: End, model: str = "") -> None:
        """Keep what came of an answer, if anybody wants that, behind the turn that it answers."""
        asked, self._asked = self._asked, None
        if asked is not None and not asked.remembered:
            return
        if answer.text and end != "failed":
            ref = TurnRef("answer", answer.number)
            self._conversation.add("assistant", answer.text, ref, after=self._answers_to)
        self._store.add("assistant", answer.text, source="model", answer=answer.number, end=end, model=model)

    def _options_of(self, asked: AskAnswer | None) -> ChatOptions:
        """The session's options with what was asked of one answer; raises InvalidMessage."""
        if asked is None:
            return self._options
        return configured(self._options, ChatConfigure(instructions=asked.instructions, max_tokens=asked.max_tokens))

    def _changed(self, change: ChatConfigure, now: float) -> ChatOptions:
        options = configured(self._options, change)
        if change.model is not None:
            with suppress(NoWorker):  # they may come back before the next answer
                self._workers.pool_for(change.model, now)
        return options

    def _save(self) -> SaveChat:
        return SaveChat(self._options, self._conversation.messages, self._store.turns, self._answers)
