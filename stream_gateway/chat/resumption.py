"""The chat of a session that is taken up again: from what is stored and what the client has to where it goes on. Pure.

What happened is in the records; the conversation of the session's own record is a shorter way to the same, up to some
turn. Between them and the client three things can differ, for the gateway that had the session died in between:

- The client was not told of what is stored: it is told now (`missed`).
- A final is stored, and the turn that it is of is not: the turn is added.
- The client has a part of an answer whose end is not stored: it goes on from there, unless what it answers is not there
  any more. Then the answer counts as stopped; either the client sends its turn again, or somebody spoke.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bus.contract.chat_work import ChatMessage
from bus.contract.client_protocol import ChatOptions, HeldAnswer
from bus.contract.records import ChatTurn, Record, SegmentFailed, TranscriptFinal
from bus.contract.session_record import SessionRecord
from stream_gateway.chat.client_ids import MAX_IDS
from stream_gateway.chat.ends import end_of
from stream_gateway.chat.turn_store import stored_turn
from stream_gateway.session.events import ChatCancelled, ChatDelta, ChatStarted, SessionEvent, TurnStored

_ATTEMPTS_PER_EPOCH = 1000
"""More than any answer takes: what comes of the attempts of an earlier owner never matches."""


@dataclass(frozen=True, slots=True)
class MissedEvent:
    """What a client has to be told."""

    index: int
    """Of the record that it is of; the number of records if it comes after all of them."""
    event: SessionEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAnswer:
    """An answer of which the client has a part."""

    number: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenTurn:
    """A final of which there is no turn yet."""

    segment: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResumption:
    """Where a chat goes on."""

    options: ChatOptions = field(repr=False)
    messages: tuple[ChatMessage, ...] = field(default=(), repr=False)
    turns: int = 0
    """Number of the newest one that is stored."""
    answers: int = 0
    """Number of the newest one that was begun, as far as anybody knows."""
    attempts: int = 0
    """Attempts at answers up to this number are an earlier owner's."""
    running: RunningAnswer | None = None
    """It goes on."""
    stopped: ChatCancelled | None = field(default=None, repr=False)
    """What the client has a part of and does not go on: to be kept; `missed` tells of it."""
    spoken: tuple[SpokenTurn, ...] = ()
    wanted: bool = False
    """Whether there is something to be answered, if no answer goes on."""
    id: str | None = None
    """The client's name for what is to be answered."""
    stored: tuple[TurnStored, ...] = ()
    """The newest turns that have a name."""
    missed: tuple[MissedEvent, ...] = ()


def resume_chat(
    record: SessionRecord,
    records: Sequence[Record],
    held: HeldAnswer | None,
    epoch: int,
    segments: Sequence[int] = (),
) -> ChatResumption:
    """What the owner of number `epoch` goes on with.

    `records` are all that the stream has of the session, in order; `held` and `segments` are the client's, as in
    `session.resume`. The session must have a chat.
    """
    options = record.chat or record.start.chat
    assert options is not None, "a session without chat has none to take up"
    turns = [one for one in records if isinstance(one, ChatTurn)]
    past = _Past(record, turns)
    spoken = _spoken(records, turns)
    running = _running(past, held, spoken)
    stopped = None
    if running is None and held is not None and held.text is not None and held.answer not in past.ended:
        stopped = ChatCancelled(held.answer, held.text, "speech" if spoken else "session")
    told = held is not None and held.answer > past.newest_ended
    """Whether the client knows more of the newest answer than the record does."""
    missed = _missed(records, held, segments)
    return ChatResumption(
        options=options,
        messages=past.messages,
        turns=max([record.turns, *(turn.turn for turn in turns)]),
        answers=max(record.answers, past.newest_ended, held.answer if held is not None else 0),
        attempts=epoch * _ATTEMPTS_PER_EPOCH,
        running=running,
        stopped=stopped,
        spoken=spoken,
        wanted=running is None and ((past.asks and not told) or (bool(spoken) and options.auto)),
        id=past.id,
        stored=tuple(stored_turn(turn) for turn in turns if turn.role == "user" and turn.id is not None)[-MAX_IDS:],
        missed=(*missed, *([MissedEvent(len(records), stopped)] if stopped is not None else [])),
    )


class _Past:
    """What is stored of a conversation."""

    def __init__(self, record: SessionRecord, turns: Sequence[ChatTurn]) -> None:
        later = [turn for turn in turns if turn.turn > record.turns]
        self.messages = (
            *record.messages,
            *(ChatMessage(turn.role, turn.text) for turn in later if turn.text and turn.end != "failed"),
        )
        self.ended = {turn.answer for turn in turns if turn.answer is not None}
        self.newest_ended = max(self.ended, default=0)
        answered = next((index for index in range(len(turns), 0, -1) if turns[index - 1].role != "user"), 0)
        open_turns = turns[answered:]
        self.asks = any(turn.asks for turn in open_turns)
        """Whether a turn since the last answer wants one."""
        typed = [turn.id for turn in open_turns if turn.source == "typed"]
        self.id = typed[-1] if typed else None

    @property
    def is_unanswered(self) -> bool:
        return bool(self.messages) and self.messages[-1].role == "user"


def _spoken(records: Sequence[Record], turns: Sequence[ChatTurn]) -> tuple[SpokenTurn, ...]:
    known = {turn.segment for turn in turns}
    return tuple(
        SpokenTurn(segment=final.segment, text=final.text)
        for final in records
        if isinstance(final, TranscriptFinal) and final.text and final.segment not in known
    )


def _running(past: _Past, held: HeldAnswer | None, spoken: Sequence[SpokenTurn]) -> RunningAnswer | None:
    """The client's running answer, if it goes on: turns that it answers are stored before it is told of.

    So a turn that is not stored yet was spoken later, and has stopped it.
    """
    if held is None or held.text is None or held.answer <= past.newest_ended or spoken or not past.is_unanswered:
        return None
    return RunningAnswer(number=held.answer, text=held.text)


def _missed(records: Sequence[Record], held: HeldAnswer | None, segments: Sequence[int]) -> list[MissedEvent]:
    missed = []
    begin = _first_unknown(records, held, segments)
    for index, record in enumerate(records):
        if not isinstance(record, ChatTurn):
            continue
        if record.answer is not None:
            missed += [MissedEvent(index, event) for event in _rest_of(record, record.answer, held)]
        elif record.role == "user" and index >= begin:
            missed.append(MissedEvent(index, stored_turn(record)))
    return missed


def _first_unknown(records: Sequence[Record], held: HeldAnswer | None, segments: Sequence[int]) -> int:
    """Index behind the newest record that the client is known to have been told of: turns before it were told too."""
    begin = 0
    for index, record in enumerate(records, start=1):
        match record:
            case TranscriptFinal() | SegmentFailed():
                is_known = record.channel in range(len(segments)) and record.segment <= segments[record.channel]
            case ChatTurn(answer=int(answer)) if held is not None:
                is_known = answer < held.answer or (answer == held.answer and held.text is None)
            case _:
                is_known = False
        begin = index if is_known else begin
    return begin


def _rest_of(turn: ChatTurn, answer: int, held: HeldAnswer | None) -> list[SessionEvent]:
    """What the client does not have of an answer that is over."""
    if held is None or answer > held.answer:
        known, told = "", [ChatStarted(answer, turn.model, turn.id)]
    elif answer < held.answer or held.text is None:
        return []
    else:
        known, told = held.text, []
    rest = turn.text[len(known) :] if turn.text.startswith(known) else ""
    return [*told, *([ChatDelta(answer, rest)] if rest else []), end_of(turn)]
