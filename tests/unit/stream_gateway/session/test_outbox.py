from bus.contract.client_protocol import StageTimes
from stream_gateway.session.events import (
    ChatDelta,
    Committed,
    Failed,
    Final,
    Partial,
    SessionEvent,
    SpeechStarted,
    Spelled,
)
from stream_gateway.session.outbox import Outbox

NO_TIMES = StageTimes(
    endpoint_s=0.0, queue_s=0.0, batch_wait_s=0.0, encode_s=0.0, decode_s=0.0, publish_s=0.0, total_s=0.0
)


def a_partial(segment: int, text: str) -> Partial:
    return Partial(segment, 0, 0.0, 1.0, "", text, "en", 0.1)


def a_final(segment: int) -> Final:
    return Final(segment, 0, 0.0, 1.0, "hello", (), "en", "base", NO_TIMES)


def all_of(outbox: Outbox) -> list[SessionEvent]:
    events = []
    while (event := outbox.take()) is not None:
        events.append(event)
    return events


def an_outbox(*events: SessionEvent, max_events: int = 10) -> Outbox:
    outbox = Outbox(max_events=max_events)
    for event in events:
        assert outbox.offer(event)
    return outbox


def test_an_empty_outbox_has_nothing_to_take() -> None:
    assert Outbox(max_events=1).take() is None


def test_events_leave_in_the_order_they_came() -> None:
    events: list[SessionEvent] = [SpeechStarted(1, 0, 0.5), a_final(1), a_partial(2, "a"), Committed(5)]
    assert all_of(an_outbox(*events)) == events


def test_only_the_newest_partial_of_a_segment_waits() -> None:
    outbox = an_outbox(a_partial(1, "a"), a_partial(2, "x"), a_partial(1, "a b"))
    assert all_of(outbox) == [a_partial(2, "x"), a_partial(1, "a b")]


def test_a_final_makes_the_waiting_partial_of_its_segment_stale_and_of_no_other() -> None:
    outbox = an_outbox(a_partial(1, "a"), a_partial(2, "x"), a_final(1))
    assert all_of(outbox) == [a_partial(2, "x"), a_final(1)]


def test_a_failure_makes_the_waiting_partial_stale_too() -> None:
    failed = Failed(1, 0, 0.0, 1.0, "decode_failed", "no result")
    assert all_of(an_outbox(a_partial(1, "a"), failed)) == [failed]


def test_only_the_newest_commit_waits_and_never_overtakes_the_final_it_rests_on() -> None:
    outbox = an_outbox(Committed(5), a_final(1), Committed(9))
    assert all_of(outbox) == [a_final(1), Committed(9)]


def test_a_full_outbox_says_so_but_loses_nothing() -> None:
    outbox = an_outbox(a_final(1), a_final(2), max_events=2)

    assert not outbox.offer(a_final(3))

    assert len(outbox) == 3
    assert all_of(outbox) == [a_final(1), a_final(2), a_final(3)]


def test_replacing_events_never_fill_the_outbox() -> None:
    outbox = an_outbox(a_partial(1, "a"), Committed(1), max_events=2)

    assert all(outbox.offer(event) for event in (a_partial(1, "b"), Committed(2)) for _ in range(100))


def test_pieces_of_an_answer_that_wait_are_joined_and_none_is_lost() -> None:
    outbox = Outbox(max_events=2)
    for text in ("a", "b", "c"):
        assert outbox.offer(ChatDelta(1, text))
    assert outbox.take() == ChatDelta(1, "abc")
    outbox.offer(ChatDelta(1, "d"))
    outbox.offer(ChatDelta(2, "e"))
    assert [outbox.take(), outbox.take()] == [ChatDelta(1, "d"), ChatDelta(2, "e")]


def test_frames_that_a_dialect_has_spelled_are_bounded_by_their_length_too() -> None:
    outbox = Outbox(max_events=1000)
    frame = "x" * 1024 * 1024
    assert all(outbox.offer(Spelled(frame)) for _ in range(4))
    assert not outbox.offer(Spelled(frame))
    while outbox.take():
        pass
    assert outbox.offer(Spelled(frame))
