"""Turn-taking in one session: who speaks, what was said, and the one answer that may run. Pure.

Theory of operation. Turns of the user enter the conversation in the order in which they *began*: a typed turn that
comes while somebody speaks waits for that utterance's text. Once nobody speaks and something is to be answered, the
answer begins; there is never more than one. Whoever begins to speak, or sends another turn, stops it: of a stopped
answer the conversation keeps what was delivered, no more. What a stopped or failed answer did not reach can be asked
for again. A client may have it that speech stops nothing: then a spoken turn begins when the speech is over.

Every turn is stored once it is over, one at a time and in order, each under an id that makes a repeated store harmless.
What is told of answers comes out of `settle`, once the turns before are stored, for somebody may resume.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, TypeAlias, assert_never

from bus.contract import chat_work as work
from bus.contract.client_protocol import (
    ChatCancel,
    ChatConfigure,
    ChatOptions,
    ChatRequest,
    ChatReset,
    ChatSend,
)
from bus.contract.errors import NothingToAnswer, NoWorker, UnknownModel
from bus.contract.records import ChatTurn
from stream_gateway.chat.answer import Answer, Failed, LlmWorkers, Wish
from stream_gateway.chat.commands import AddTurn, AskAnswer, ChatInput, ForgetTurns, MindSpeech, TurnRef
from stream_gateway.chat.conversation import Conversation
from stream_gateway.chat.ends import AnswerEnd, done_of
from stream_gateway.chat.history import History
from stream_gateway.chat.options import ChatConfig, check_id, check_text, configured
from stream_gateway.chat.resumption import ChatResumption, RunningAnswer
from stream_gateway.session import events
from stream_gateway.session.effects import Effect, Emit

StopReason: TypeAlias = Literal["client", "speech", "turn", "session"]


class Chat:
    """The machine of one session's chat. `settle` is called after every input, and at `deadline`.

    `resumed`: it goes on with what another gateway had; `config.options` are then what they were at its start.
    Where the session is not `is_resumable`, nothing that is told of answers waits for a store.
    """

    def __init__(
        self,
        config: ChatConfig,
        *,
        workers: LlmWorkers,
        resumed: ChatResumption | None = None,
        is_resumable: bool = True,
    ) -> None:
        before = resumed or ChatResumption(options=config.options)
        self._config = config
        self._options = before.options
        self._workers = workers
        self._history = History(config, before, is_resumable=is_resumable)
        self._answer: Answer | None = None
        self._answers = before.answers
        self._attempts = before.attempts
        """Of earlier owners of the session."""
        self._is_resumed = resumed is not None
        """Until the first answer: an earlier owner may have begun it."""
        self._running = before.running
        """An answer that is to go on."""
        self._wanted = before.wanted
        """Something is to be answered as soon as nobody speaks."""
        self._named = before.id
        """What the client calls what it has sent or asked for last, since the last answer began."""
        self._answer_id: str | None = None
        """The same of the answer that runs."""
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
        return not self.is_answering and self._history.is_stored

    @property
    def is_answering(self) -> bool:
        """Whether the client waits for an answer."""
        return self._answer is not None or self._running is not None or self._wanted

    @property
    def answers_speech(self) -> bool:
        """Whether what is said is answered, unasked, to somebody who is there."""
        return self._options.auto and self._listened_to

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be stored that the client should say no more for now."""
        return self._history.is_full

    def model(self, now: float) -> str | None:
        """Who would answer now; None if nobody can."""
        try:
            return self._workers.pool_for(self._options.model, now).model
        except (NoWorker, UnknownModel):
            return None

    def on_command(self, command: ChatInput, now: float) -> list[Effect]:
        """The client typed something, or wants something. Raises a ClientError, and then nothing has changed."""
        match command:
            case ChatSend():
                return self._on_typed(command)
            case ChatRequest(id=id):
                self._on_request(id)
                return []
            case ChatCancel(answer=number):
                return self._abandon("client") if number is None or self._is_running(number) else []
            case ChatConfigure():
                self._options = self._changed(command, now)
                self._history.on_options()
                return []
            case ChatReset():
                return self._on_reset()
            case AddTurn():
                self._on_added(command)
                return []
            case ForgetTurns(refs):
                self._history.forget(refs)
                self._take_turns()
                return []
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
                    self._history.speak(segment, asks=self._options.auto)
                    heard += self._stop("speech")
                case Emit(events.SpeechEnded(segment=segment)):
                    self._history.speak(segment, asks=self._options.auto)
                case Emit(events.SpeechCleared(segment=segment)):
                    self._on_text(segment, "")
                case Emit(events.Final(segment=segment, text=text)):
                    self._on_text(segment, text)
                case Emit(events.Failed(segment=segment)):
                    self._on_text(segment, "")
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
        effects = self._answer.on_reply(reply, now)
        for piece in self._answer.take_pieces():
            self._history.tell(piece)
        return effects

    def on_given_up(self, answer: int, attempt: int, now: float) -> list[Effect]:
        """The broker will not deliver this attempt again."""
        if self._answer is None or self._answer.number != answer:
            return []
        return self._answer.on_given_up(attempt, now)

    def on_turn_stored(self, turn: ChatTurn, now: float, *, succeeded: bool) -> list[Effect]:
        """A `StoreTurn` was acknowledged, or was not."""
        return self._history.on_stored(turn, now, succeeded=succeeded)

    def on_bus(self, now: float, *, connected: bool) -> list[Effect]:
        """The bus went or came back."""
        self._bus_connected = connected
        if not connected:
            return []
        self._history.on_bus_back(now)
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
            self._finish(self._answer, self._answer.outcome, now)
        if (self._wanted or self._running is not None) and not self._history.somebody_speaks and self._answer is None:
            effects += self._begin(now)
        return effects + self._history.settle(
            now, connected=self._bus_connected, options=self._options, answers=self._answers
        )

    def deadline(self) -> float | None:
        """When to call `settle` next; None if only an input can change anything."""
        times = [self._history.deadline(connected=self._bus_connected)]
        if self._bus_connected and self._answer is not None:
            times.append(self._answer.deadline())
        return min((time for time in times if time is not None), default=None)

    def _on_typed(self, sent: ChatSend) -> list[Effect]:
        check_text(sent.text)
        check_id("chat.send", sent.id)
        told = self._history.told_of(sent.id)
        if told is not None:
            return told
        self._history.check_room()
        effects = self._stop("turn")
        self._named = sent.id
        self._history.type(sent)
        self._take_turns()
        return effects

    def _on_request(self, id: str | None) -> None:
        check_id("chat.request", id)
        something = self._history.somebody_speaks or self._history.conversation.is_unanswered
        if not (something or self.is_answering):
            raise NothingToAnswer("nothing was said or typed since the last answer")
        if self._answer is None and self._running is None:
            self._wanted, self._named = True, id

    def _on_reset(self) -> list[Effect]:
        effects = self._abandon("client")
        self._history.clear()
        self._named = None
        return effects

    def _on_added(self, turn: AddTurn) -> None:
        check_text(turn.text)
        self._history.check_room()
        self._history.insert(turn)
        self._take_turns()

    def _on_asked_for(self, asked: AskAnswer) -> list[Effect]:
        self._options_of(asked)
        accepted = not self.is_answering
        if accepted:
            self._wanted, self._asked = True, asked
        return [Emit(events.AnswerWanted(asked.key, accepted))]

    def _on_text(self, segment: int, text: str) -> None:
        self._history.hear(segment, text)
        self._take_turns()

    def _take_turns(self) -> None:
        """Whoever has said something may be answered."""
        for turn in self._history.take_turns():
            wanted = turn.asks if turn.text else self._cut_off
            self._wanted = (self._wanted or wanted) and self._listened_to
            self._cut_off = False

    def _begin(self, now: float) -> list[Effect]:
        self._wanted = False
        asked = self._asked
        goes_on, self._running = self._running, None
        if asked is None and not self._history.conversation.is_unanswered:
            return []
        self._answers_to = self._history.conversation.newest
        self._answer_id, self._named = self._named, None
        if goes_on is None:
            self._answers += 1
        wish = self._wish(asked, goes_on)
        self._is_resumed = False
        patience = self._config.patience
        self._answer = Answer(wish, workers=self._workers, patience=patience, prefer=self._last_worker, now=now)
        if goes_on is None:
            self._history.tell(events.ChatStarted(wish.number, self._answer.model, self._answer_id))
        effects = self._answer.settle(now)
        if self._answer.outcome is not None:
            self._finish(self._answer, self._answer.outcome, now)
        return effects

    def _wish(self, asked: AskAnswer | None, goes_on: RunningAnswer | None) -> Wish:
        options = self._options_of(asked)
        known = self._history.conversation if asked is None or asked.context is None else Conversation(asked.context)
        return Wish(
            number=self._answers if goes_on is None else goes_on.number,
            messages=known.prompt(
                options.instructions or self._config.default_instructions, must_answer=asked is not None
            ),
            model=options.model,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            prefill="" if goes_on is None else goes_on.text,
            attempts=self._attempts,
            is_resumed=self._is_resumed,
        )

    def _finish(self, answer: Answer, outcome: work.ChatDone | Failed, now: float) -> None:
        self._answer = None
        if isinstance(outcome, Failed):
            self._keep_answer(events.ChatFailed(answer.number, answer.text, outcome.error), answer.model)
            return
        self._last_worker = answer.worker
        first_at = now if answer.first_delta_at is None else answer.first_delta_at
        done = done_of(
            answer.number,
            answer.text,
            outcome,
            first_delta_s=first_at - answer.asked_at,
            total_s=now - answer.asked_at,
        )
        self._keep_answer(done, outcome.model)

    def _is_running(self, number: int) -> bool:
        return self._answer is not None and self._answer.number == number

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
        if self._cut_off:
            self._named = self._answer_id
        self._keep_answer(events.ChatCancelled(answer.number, answer.text, reason), answer.model)
        return answer.stop()

    def _keep_answer(self, end: AnswerEnd, model: str) -> None:
        """Keep what came of an answer, if anybody wants that, and tell of its end."""
        asked, self._asked = self._asked, None
        if asked is not None and not asked.remembered:
            self._history.tell(end)
        else:
            self._history.keep_answer(end, model=model, id=self._answer_id, after=self._answers_to)

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
