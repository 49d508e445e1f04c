"""The judge must see each way in which a promise can be broken."""

from dataclasses import dataclass, field

from bus.contract import client_protocol as wire
from bus.contract import records
from llm_workers.engines.scripted import expected_answer
from tests.chaos.client import Seen
from tests.chaos.plans import SessionPlan
from tests.chaos.promises import Verdict, judge
from tests.chaos.speech import Spoken

_TIMES = wire.StageTimes(endpoint_s=0, queue_s=0, batch_wait_s=0, encode_s=0, decode_s=0, publish_s=0, total_s=0)
_TYPED = "what is it"
_ANSWER = expected_answer(_TYPED)


@dataclass
class Session:
    """Two segments of two words each, as a faultless service would show and store them; tests spoil it."""

    texts: list[str] = field(default_factory=lambda: ["w1xaa w2xbb", "w5xcc w6xdd"])
    numbers: list[int] = field(default_factory=lambda: [1, 2])
    stored: list[int] = field(default_factory=lambda: [1, 2])
    committed_early: bool = False
    missed: int = 0
    error: str = ""
    more: list[wire.ServerEvent] = field(default_factory=list)

    def judged(self) -> Verdict:
        said = Spoken(b"", ("w1xaa", "w2xbb", "w5xcc", "w6xdd"), ())
        plan = SessionPlan(number=0, kind="speech", channels=(said,), starts_after_s=0)
        seen = Seen(plan, 1.0, session="s1", error=self.error, missed_events=self.missed)
        seen.events = [(0.0, event) for event in self._events()]
        texts = dict(zip(self.numbers, self.texts, strict=True))
        return judge(seen, [_record(segment, texts.get(segment, "w9xee")) for segment in self.stored])

    def _events(self) -> list[wire.ServerEvent]:
        events: list[wire.ServerEvent] = []
        for segment, text in zip(self.numbers, self.texts, strict=True):
            start_s = float(segment)
            commit = wire.AudioCommitted(seq=0, offset=16_000 * segment + 8_000, time_s=start_s + 0.5)
            events.append(wire.SpeechStarted(seq=0, segment=segment, channel=0, start_s=start_s))
            events += [commit] if self.committed_early else []
            events.append(_final(segment, text))
            events.append(commit)
        events += self.more
        events.append(wire.SessionEnded(seq=0, reason="client", audio_s=3.0, segments=2))
        return [_numbered(event, seq) for seq, event in enumerate(events, 2)]


def _numbered(event: wire.ServerEvent, seq: int) -> wire.ServerEvent:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**{**fields, "seq": event.seq or seq})


def _final(segment: int, text: str) -> wire.TranscriptFinal:
    return wire.TranscriptFinal(
        seq=0,
        segment=segment,
        channel=0,
        start_s=float(segment),
        end_s=segment + 0.5,
        text=text,
        words=(),
        language="en",
        model="base",
        times=_TIMES,
    )


def _record(segment: int, text: str) -> records.TranscriptFinal:
    return records.TranscriptFinal(
        tenant="default", session="s1", segment=segment, start_s=float(segment), end_s=segment + 0.5, text=text
    )


def test_a_session_in_which_nothing_went_wrong_has_no_broken_promise() -> None:
    verdict = Session().judged()
    assert (verdict.words, verdict.lost, verdict.doubled, verdict.broken, verdict.errors) == (4, 0, 0, [], [])


def test_a_word_that_is_missing_is_lost() -> None:
    verdict = Session(texts=["w1xaa", "w5xcc w6xdd"]).judged()
    assert (verdict.lost, verdict.doubled) == (1, 0)
    assert verdict.broken


def test_a_word_that_comes_twice_is_doubled() -> None:
    verdict = Session(texts=["w1xaa w2xbb", "w2xbb w5xcc w6xdd"]).judged()
    assert (verdict.lost, verdict.doubled) == (0, 1)
    assert verdict.broken


def test_a_word_read_from_other_audio_is_both() -> None:
    verdict = Session(texts=["w1xaa w2xbb", "w5xcd w6xdd"]).judged()
    assert (verdict.lost, verdict.doubled) == (1, 1)


def test_words_in_another_order_are_seen() -> None:
    assert Session(texts=["w2xbb w1xaa", "w5xcc w6xdd"]).judged().broken


def test_a_segment_that_comes_twice_is_seen_in_the_order_of_segments() -> None:
    assert any("segments of channel 0" in one for one in Session(numbers=[2, 1], stored=[1, 2]).judged().broken)


def test_a_gap_in_the_numbers_of_events_is_seen() -> None:
    assert Session(missed=1).judged().broken


def test_an_event_that_comes_twice_is_seen() -> None:
    assert Session(more=[wire.SessionDraining(seq=2, within_s=1.0)]).judged().broken


def test_audio_that_is_committed_before_its_final_has_come_is_seen() -> None:
    assert any("not final" in one for one in Session(committed_early=True).judged().broken)


def test_an_error_that_the_client_sees_is_counted_and_breaks_a_promise() -> None:
    error = wire.ErrorEvent(seq=0, code="internal", message="", retryable=False, fatal=False)
    for session in (Session(error="stuck"), Session(more=[error])):
        verdict = session.judged()
        assert len(verdict.errors) == 1
        assert verdict.broken


def test_a_record_that_lacks_a_segment_or_has_one_twice_or_another_one_is_seen() -> None:
    for stored in ([1], [1, 1, 2], [2, 1], [1, 2, 3]):
        assert any("record" in one for one in Session(stored=stored).judged().broken), stored


def chat(
    pieces: list[str], *, text: str | None = None, typed: list[str] | None = None, turns: tuple[int, ...] = (1, 2)
) -> Verdict:
    """A typed turn and its answer in pieces; `text` is what its end and its record say."""
    text = "".join(pieces) if text is None else text
    plan = SessionPlan(number=0, kind="typed_chat", channels=(), turns=(_TYPED,), starts_after_s=0)
    usage = wire.ChatUsage(prompt_tokens=0, completion_tokens=0, cached_tokens=0)
    times = wire.ChatTimes(queue_s=0, prefill_s=0, first_delta_s=0, total_s=0)
    done = wire.ChatDone(seq=0, answer=1, text=text, finish_reason="stop", usage=usage, times=times, model="m")
    events: list[wire.ServerEvent] = [
        wire.ChatStarted(seq=0, answer=1, model="m"),
        *(wire.ChatDelta(seq=0, answer=1, text=piece) for piece in pieces),
        done,
        wire.SessionEnded(seq=0, reason="client", audio_s=0.0, segments=0),
    ]
    seen = Seen(plan, 1.0, session="s1")
    seen.events = [(0.0, _numbered(event, seq)) for seq, event in enumerate(events, 2)]
    told = [_TYPED] if typed is None else typed
    stored = [_turn(number, turn, "typed") for number, turn in zip(turns, told, strict=False)]
    return judge(seen, [*stored, _turn(turns[-1], text, "model")])


def _turn(turn: int, text: str, source: str) -> records.ChatTurn:
    is_user = source == "typed"
    return records.ChatTurn(
        tenant="default",
        session="s1",
        turn=turn,
        role="user" if is_user else "assistant",
        text=text,
        source="typed" if is_user else "model",
        answer=None if is_user else 1,
    )


def test_an_answer_in_pieces_that_are_whole_breaks_no_promise() -> None:
    half = len(_ANSWER) // 2
    assert chat([_ANSWER[:half], _ANSWER[half:]]).broken == []


def test_a_piece_of_an_answer_that_is_lost_or_doubled_is_seen() -> None:
    half = len(_ANSWER) // 2
    for pieces in ([_ANSWER[:half]], [_ANSWER[:half], _ANSWER[half:], _ANSWER[half:]], [_ANSWER[half:]]):
        assert any("is not what was to be said" in one for one in chat(pieces).broken)
    assert any("are not its text" in one for one in chat([_ANSWER[:half]], text=_ANSWER).broken)


def test_a_typed_turn_that_the_record_lacks_or_has_twice_is_seen() -> None:
    assert chat([_ANSWER], typed=[]).broken
    assert chat([_ANSWER], typed=[_TYPED, _TYPED], turns=(1, 2, 3)).broken
    assert chat([_ANSWER], turns=(1, 3)).broken
