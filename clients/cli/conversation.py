"""The conversation of `harken chat` on a terminal, as a machine: lines, keys and events in, effects out. Pure.

A session is OPENING, OPEN or LOST; from LOST the next turn opens another one. In it an answer is *awaited* from when
it was asked for until the service has begun it, then it *runs* until its end. Enter and Ctrl-C stop an answer that is
awaited or runs. A line that is typed while an answer runs is shown only where that answer has its end: what scrolls by
stands in the order in which the service has it.
"""

from collections import deque
from enum import StrEnum
from typing import Final, assert_never

import msgspec

from bus.contract.client_protocol import (
    AudioCommit,
    AudioCommitted,
    ChatCancel,
    ChatCancelled,
    ChatConfigure,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatOptions,
    ChatRequest,
    ChatReset,
    ChatSend,
    ChatStarted,
    ChatTurnStored,
    ErrorEvent,
    ServerEvent,
    SessionDraining,
    SessionEnded,
    SessionResumed,
    SessionStarted,
    SpeechEnded,
    SpeechStarted,
    TranscriptFailed,
    TranscriptFinal,
    TranscriptPartial,
)
from bus.contract.errors import HarkenError, UnknownModel
from clients.cli.answer_figures import figures_line, figures_table
from clients.cli.chat_advice import CUT_NOTE, explain, explain_failed
from clients.cli.chat_commands import COMMAND_ROWS, Instruct, Plain, Turn, Unknown, UseModel, parse_line
from clients.cli.chat_effects import ClearLine, Effect, Leave, Open, Span, Tone, Transmit, show, show_all
from clients.cli.connection_notes import connection_note
from clients.cli.flow import AnswerFlow, printable
from clients.connection_changes import ConnectionChange
from clients.failures import from_code

MAX_FIGURES: Final = 10
"""Answers that `/stats` shows."""
_TAIL_CHARACTERS: Final = 240
"""Newest part that is shown of what is being said, or of a line of code that has no end yet."""


class _Link(StrEnum):
    OPENING = "opening"
    OPEN = "open"
    LOST = "lost"


class Conversation:
    """The machine. Begin with `on_opened` for the first session. `columns` may change at any time."""

    def __init__(self, options: ChatOptions, *, listens: bool, shows_figures: bool, columns: int = 80) -> None:
        self.columns = columns
        self._options = options
        self._accepted = options
        """What the service is known to go by."""
        self._listens = listens
        self._shows_figures = shows_figures
        self._link = _Link.OPENING
        self._greeted = False
        self._model: str | None = None
        self._awaited = False
        self._running: int | None = None
        self._stopping = False
        self._flow = AnswerFlow()
        self._after_answer: list[Span] = []
        self._last_turn: str | None = None
        self._is_speaking = False
        self._heard: TranscriptPartial | None = None
        self._figures: deque[ChatDone] = deque(maxlen=MAX_FIGURES)

    @property
    def is_busy(self) -> bool:
        """Tell whether an answer is awaited or runs."""
        return self._awaited or self._running is not None

    def live(self) -> list[list[Span]]:
        """Give the rows that stand above the line being typed, each in spans: they change with every event."""
        rows = []
        if self._flow.tail:
            rows.append([Span(Tone.ANSWER, self._flow.tail[-_TAIL_CHARACTERS:])])
        elif self._link is _Link.OPENING:
            rows.append([Span(Tone.NOTE, "connecting")])
        elif self.is_busy:
            rows.append([Span(Tone.NOTE, "...")])
        if self._heard is not None:
            hidden = max(0, len(self._heard.text) - _TAIL_CHARACTERS)
            stable = Span(Tone.SAID, "> " + self._heard.stable[hidden:])
            rows.append([stable, Span(Tone.HEARD, self._heard.text[max(hidden, len(self._heard.stable)) :])])
        elif self._listens and self._link is _Link.OPEN and not self.is_busy:
            rows.append([Span(Tone.NOTE, "listening")])
        return rows

    def on_opened(self, started: SessionStarted) -> list[Effect]:
        """A session is open."""
        self._link = _Link.OPEN
        self._accepted = self._options
        self._model = started.chat_model
        greeting = "a new conversation" if self._greeted else "/help lists the commands, Ctrl-D leaves"
        self._greeted = True
        # If nobody can answer, the service itself says so next.
        return show(Tone.NOTE, greeting if started.chat_model is None else f"{started.chat_model} answers; {greeting}")

    def on_lost(self, error: HarkenError | None) -> list[Effect]:
        """The session ended, was refused or broke."""
        self._link = _Link.LOST
        self._awaited = self._is_speaking = False
        self._heard = None
        text = "the service ended the session" if error is None else explain(error)
        again = "; /retry sends your last turn again" if self._last_turn is not None else ""
        return [*self._end_answer(), *show(Tone.PROBLEM, text), *show(Tone.NOTE, self._how_to_open() + again)]

    def on_connection(self, change: ConnectionChange) -> list[Effect]:
        """The connection of the session was lost, or found again; what is typed meanwhile waits."""
        note = connection_note(change)
        return [] if note is None else show(Tone.NOTE, note)

    def on_microphone_lost(self, why: str) -> list[Effect]:
        """The microphone gives no more; typing goes on."""
        self._listens = False
        return show(Tone.PROBLEM, f"{why}; type instead")

    def on_not_sent(self) -> list[Effect]:
        """A `Transmit` was dropped: too much waits for a service that takes nothing."""
        return show(Tone.PROBLEM, "the service takes nothing at the moment: that was not sent")

    def on_interrupt(self, *, line_is_empty: bool) -> list[Effect]:
        """Ctrl-C: it stops the answer first, then empties the line, then leaves."""
        if self.is_busy and not self._stopping:
            return self._stop()
        return [Leave()] if line_is_empty else [ClearLine()]

    def on_end_of_input(self) -> list[Effect]:
        """Ctrl-D on an empty line."""
        return [Leave()]

    def on_line(self, line: str) -> list[Effect]:
        """A line was typed."""
        match parse_line(line):
            case Turn(text=text):
                return self._say(text)
            case Plain.ENTER:
                return self._enter()
            case Plain.FORGET:
                return self._forget()
            case Plain.STOP:
                return self._stop() if self.is_busy else show(Tone.NOTE, "no answer is running")
            case Plain.RETRY:
                return self._retry()
            case Plain.FIGURES:
                return self._show_figures()
            case Plain.HELP:
                width = max(len(name) for name, _ in COMMAND_ROWS)
                return show(Tone.NOTE, *(f"{name.ljust(width)}  {what}" for name, what in COMMAND_ROWS))
            case Plain.QUIT:
                return [Leave()]
            case Instruct(text=None):
                return show(Tone.NOTE, self._options.instructions or "no instructions")
            case Instruct(text=instructions):
                return self._configure(
                    ChatConfigure(instructions=instructions), "other instructions from the next answer on"
                )
            case UseModel(name=None):
                return show(Tone.NOTE, self._options.model or self._model or "no model has answered yet")
            case UseModel(name=name):
                return self._configure(ChatConfigure(model=name), f"{name} from the next answer on")
            case Unknown(name=name):
                return show(Tone.PROBLEM, f"there is no /{name}: /help lists the commands, //{name} says it")
            case typed:
                assert_never(typed)

    def on_event(self, event: ServerEvent) -> list[Effect]:
        """An event of the session."""
        match event:
            case ChatStarted() | ChatDelta() | ChatDone() | ChatCancelled() | ChatFailed():
                return self._on_answer(event)
            case SpeechStarted():
                self._is_speaking = True
            case SpeechEnded():
                self._is_speaking = False
            case TranscriptPartial():
                self._heard = event
            case TranscriptFinal(text=text):
                self._heard = None
                return self._in_order(Tone.SAID, *_quoted(text.strip())) if text.strip() else []
            case TranscriptFailed(message=message):
                self._heard = None
                return self._in_order(Tone.PROBLEM, f"what you said has no transcript: {message}")
            case ErrorEvent():
                return self._on_error(event)
            case SessionDraining(within_s=within_s):
                return show(Tone.NOTE, f"the service is going away: this conversation ends within {within_s:.0f} s")
            case SessionResumed():
                self._is_speaking = False
                self._heard = None
            case SessionStarted() | SessionEnded() | AudioCommitted() | ChatTurnStored():
                pass
            case _:
                assert_never(event)
        return []

    def _on_answer(self, event: ChatStarted | ChatDelta | ChatDone | ChatCancelled | ChatFailed) -> list[Effect]:
        match event:
            case ChatStarted():
                self._awaited = False
                self._running = event.answer
                self._flow = AnswerFlow()
                self._model = event.model
                self._accepted = self._options
                return []
            case ChatDelta(text=text):
                return show(Tone.ANSWER, *self._flow.push(text, self.columns))
            case ChatDone():
                return self._on_done(event)
            case ChatCancelled(reason=reason):
                self._forget_turn()
                is_news = reason != "turn" or not self._flow.is_empty
                return self._end_answer(*([Span(Tone.NOTE, "(stopped)")] if is_news else []))
            case ChatFailed():
                return self._end_answer(Span(Tone.PROBLEM, explain_failed(event)))
            case _:
                assert_never(event)

    def _on_done(self, done: ChatDone) -> list[Effect]:
        self._forget_turn()
        self._figures.append(done)
        notes = []
        if done.finish_reason == "length":
            notes.append(Span(Tone.NOTE, CUT_NOTE))
        if self._shows_figures:
            notes.append(Span(Tone.NOTE, figures_line(done)))
        return self._end_answer(*notes)

    def _forget_turn(self) -> None:
        if not self._awaited:  # else it is a later one, whose answer is still to come
            self._last_turn = None

    def _end_answer(self, *notes: Span) -> list[Effect]:
        """What is left of the answer, then what is said of its end, then what was typed meanwhile."""
        lines = [*(Span(Tone.ANSWER, row) for row in self._flow.finish()), *notes, *self._after_answer]
        self._running = None
        self._stopping = False
        self._after_answer.clear()
        return show_all(lines)

    def _on_error(self, event: ErrorEvent) -> list[Effect]:
        error = from_code(event.code, event.message, retryable=event.retryable)
        if error.fault == "client":  # what is wrong with the service is said of the session, and answers go on
            self._awaited = self._stopping = False
        if event.code == UnknownModel.code:
            self._options = self._accepted
        return show(Tone.PROBLEM, explain(error))

    def _say(self, text: str) -> list[Effect]:
        effects = [*self._open(), *self._in_order(Tone.SAID, *_quoted(text)), Transmit(ChatSend(text=text))]
        self._last_turn = text
        self._awaited = True
        self._stopping = False
        return effects

    def _open(self) -> list[Effect]:
        if self._link is not _Link.LOST:
            return []
        self._link = _Link.OPENING
        return [Open(self._options)]

    def _how_to_open(self) -> str:
        return f"{'Enter' if self._listens else 'the next line'} opens a new conversation"

    def _enter(self) -> list[Effect]:
        if self._listens and self._link is _Link.LOST:
            return self._open()
        if self.is_busy:
            return [] if self._stopping else self._stop()
        return [Transmit(AudioCommit())] if self._is_speaking else []

    def _stop(self) -> list[Effect]:
        self._stopping = True
        self._awaited = False  # an answer that is stopped before it begins is not mentioned
        return [Transmit(ChatCancel())]

    def _forget(self) -> list[Effect]:
        self._last_turn = None
        self._awaited = False
        if self._link is _Link.LOST:
            return show(Tone.NOTE, self._how_to_open())
        return [Transmit(ChatReset()), *self._in_order(Tone.NOTE, "a new conversation")]

    def _retry(self) -> list[Effect]:
        if self._link is _Link.LOST:
            return self._say(self._last_turn) if self._last_turn else show(Tone.NOTE, "there is nothing to answer")
        self._awaited = True
        return [Transmit(ChatRequest())]

    def _configure(self, change: ChatConfigure, note: str) -> list[Effect]:
        fields = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
        self._options = msgspec.structs.replace(self._options, **fields)
        sending: list[Effect] = [] if self._link is _Link.LOST else [Transmit(change)]
        return [*sending, *self._in_order(Tone.NOTE, note)]

    def _show_figures(self) -> list[Effect]:
        return show(Tone.NOTE, *(figures_table(self._figures) if self._figures else ["no answer yet"]))

    def _in_order(self, tone: Tone, *texts: str) -> list[Effect]:
        """Show these lines once the running answer, which comes before them, is complete."""
        if self._running is None:
            return show(tone, *texts)
        self._after_answer += [Span(tone, text) for text in texts]
        return []


def _quoted(text: str) -> list[str]:
    return [f"> {line}" for line in printable(text).split("\n")]
