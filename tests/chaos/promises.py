"""What must hold of every session of every run, whatever was done to the service. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeGuard

from bus.contract import client_protocol as wire
from bus.contract import records
from llm_workers.engines.scripted import expected_answer
from tests.chaos.client import Seen


@dataclass(slots=True)
class Verdict:
    """Of one session."""

    words: int = 0
    lost: int = 0
    doubled: int = 0
    """Words that came twice, or that nobody said."""
    broken: list[str] = field(default_factory=list)
    """Promises that do not hold; lost and doubled words are among them. No user's words: counts and numbers."""
    errors: list[str] = field(default_factory=list)
    """What failed for the client."""
    told: list[str] = field(default_factory=list)
    """What the client was told is away for now."""
    stored: Sequence[records.Record] = ()
    """The record that was looked at."""


def judge(
    seen: Seen,
    stored: Sequence[records.Record],
    *,
    store_was_lost: bool = False,
    are_words_known: bool = True,
    may_be_told: bool = True,
) -> Verdict:
    """Check all promises of one session, but for words that are not known for sure.

    With a store that was lost, the record may lack its beginning. `may_be_told`: that something is away for now.
    """
    verdict = Verdict(stored=stored)
    verdict.errors += _errors(seen)
    verdict.told += [event.code for _, event in seen.events if _is_for_now(event)]
    seen_errors = verdict.errors if may_be_told else [*verdict.errors, *verdict.told]
    verdict.broken += [f"the client saw an error: {one}" for one in seen_errors]
    verdict.broken += _order(seen)
    for channel, spoken in enumerate(seen.plan.channels if are_words_known else ()):
        heard = [word for _, final in seen.finals if final.channel == channel for word in final.text.split()]
        _count_words(verdict, f"channel {channel}", spoken.words, heard)
    verdict.broken += _commits(seen)
    verdict.broken += _answers(seen)
    verdict.broken += _record(seen, stored, store_was_lost=store_was_lost)
    return verdict


def _errors(seen: Seen) -> Iterator[str]:
    if seen.error:
        yield seen.error
    for _, event in seen.events:
        if isinstance(event, wire.ErrorEvent | wire.TranscriptFailed | wire.ChatFailed) and not _is_for_now(event):
            yield f"{type(event).__name__} {event.code}"


def _is_for_now(event: wire.ServerEvent) -> TypeGuard[wire.ErrorEvent]:
    """Whether it says why there is a pause: the session goes on."""
    return isinstance(event, wire.ErrorEvent) and event.retryable and not event.fatal


def _order(seen: Seen) -> Iterator[str]:
    """Numbers without a gap, segments in order within their channel, an end."""
    numbers = [event.seq for _, event in seen.events]
    if numbers != sorted(set(numbers)):
        yield "events out of order or twice, by their numbers"
    if seen.missed_events:
        yield f"{seen.missed_events} events missing, by their numbers"
    for channel in range(len(seen.plan.channels)):
        segments = [final.segment for _, final in seen.finals if final.channel == channel]
        if segments != sorted(set(segments)):
            yield f"segments of channel {channel} out of order or twice: {segments}"
    if not seen.error and not (seen.events and isinstance(seen.events[-1][1], wire.SessionEnded)):
        yield "no session.ended at the end"


def _count_words(verdict: Verdict, where: str, said: Sequence[str], heard: Sequence[str]) -> None:
    """Each word once and in order; both sides have numbered words, so that sets of them can be compared."""
    lost, more = Counter(said) - Counter(heard), Counter(heard) - Counter(said)
    verdict.words += len(said)
    verdict.lost += lost.total()
    verdict.doubled += more.total()
    if lost or more:
        cells = ", ".join(f"{name} {sorted(one)}" for name, one in (("lost", lost), ("too many", more)) if one)
        verdict.broken.append(f"{where}: {cells}")
    elif list(said) != list(heard):
        verdict.broken.append(f"{where}: words out of order")


def _commits(seen: Seen) -> Iterator[str]:
    """Audio is committed only once what was said in it has come; commits only grow."""
    newest, ended_s = 0, dict.fromkeys(range(len(seen.plan.channels)), 0.0)
    open_since: dict[tuple[int, int], float] = {}
    for _, event in seen.events:
        match event:
            case wire.SpeechStarted():
                open_since[event.channel, event.segment] = event.start_s
            case wire.SessionResumed():
                open_since.clear()
            case wire.TranscriptFinal() | wire.TranscriptFailed():
                open_since.pop((event.channel, event.segment), None)
                ended_s[event.channel] = max(ended_s[event.channel], event.end_s)
            case wire.AudioCommitted():
                if event.offset < newest:
                    yield f"committed {event.offset} after {newest}"
                newest = max(newest, event.offset)
                if any(start_s < event.time_s - 1e-6 for start_s in open_since.values()):
                    yield f"committed {event.offset} in a segment that is not final"
            case _:
                pass


def _answers(seen: Seen) -> Iterator[str]:
    """Each answer is one that the engine gives to a turn of this session: a lost or doubled piece is none."""
    spoken = [final.text for _, final in seen.finals]
    # Turns without an answer between them are one to the engine.
    joined = [" ".join(spoken[i:j]) for i, j in combinations(range(len(spoken) + 1), 2)]
    wanted = [expected_answer(text) for text in (*seen.plan.turns, *joined)]
    pieces: dict[int, str] = {}
    done = 0
    for _, event in seen.events:
        match event:
            case wire.ChatStarted():
                pieces.setdefault(event.answer, "")
            case wire.ChatDelta():
                if event.answer not in pieces:
                    yield f"a piece of answer {event.answer}, which did not start"
                pieces[event.answer] = pieces.get(event.answer, "") + event.text
            case wire.ChatDone() | wire.ChatCancelled() | wire.ChatFailed():
                text = pieces.get(event.answer, "")
                if text != event.text:
                    yield f"the pieces of answer {event.answer} are not its text"
                is_whole = isinstance(event, wire.ChatDone)
                done += is_whole
                if not any(one == text if is_whole else one.startswith(text) for one in wanted):
                    yield f"answer {event.answer} is not what was to be said"
            case _:
                pass
    if list(pieces) != sorted(pieces):
        yield f"answers out of order: {list(pieces)}"
    if seen.plan.turns and done != len(seen.plan.turns):
        yield f"{done} answers to {len(seen.plan.turns)} typed turns"


def _record(seen: Seen, stored: Sequence[records.Record], *, store_was_lost: bool) -> Iterator[str]:
    """What a downstream reader finds is what the client was shown: once, in order."""
    finals = [one for one in stored if isinstance(one, records.TranscriptFinal)]
    shown = {final.segment: final for _, final in seen.finals}
    for channel in range(len(seen.plan.channels)):
        segments = [one.segment for one in finals if one.channel == channel]
        if segments != sorted(set(segments)):
            yield f"record: segments of channel {channel} out of order or twice: {segments}"
    for one in finals:
        final = shown.get(one.segment)
        if final is None or (final.text, final.channel, final.start_s) != (one.text, one.channel, one.start_s):
            yield f"record: segment {one.segment} is not what the client was shown"
    missing = set(shown) - {one.segment for one in finals}
    if missing and not store_was_lost:
        yield f"record: segments {sorted(missing)} are missing"
    yield from _turns(seen, [one for one in stored if isinstance(one, records.ChatTurn)], store_was_lost=store_was_lost)


def _turns(seen: Seen, turns: Sequence[records.ChatTurn], *, store_was_lost: bool) -> Iterator[str]:
    numbers = [one.turn for one in turns]
    first = numbers[0] if numbers and store_was_lost else 1
    if numbers != list(range(first, first + len(numbers))):
        yield f"record: turns out of order, twice or missing: {numbers}"
    typed = [one.text for one in turns if one.source == "typed"]
    said = list(seen.plan.turns)
    if typed != said and not (store_was_lost and said[len(said) - len(typed) :] == typed):
        yield f"record: {len(typed)} typed turns of {len(said)}, or in another order"
    answered = {one.answer: one for one in turns if one.source == "model"}
    for _, event in seen.events:
        if isinstance(event, wire.ChatDone):
            turn = answered.get(event.answer)
            if turn is None and not store_was_lost:
                yield f"record: answer {event.answer} is missing"
            elif turn is not None and turn.text != event.text:
                yield f"record: answer {event.answer} is not what the client was shown"
