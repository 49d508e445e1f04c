from clients.inbox import EventInbox
from tests.unit.clients.events import (
    chat_started,
    committed,
    delta,
    done,
    error,
    failed,
    final,
    partial,
    resumed,
    started,
)


def drain(inbox: EventInbox) -> list[int]:
    sequence = []
    while (event := inbox.take()) is not None:
        sequence.append(event.seq)
    return sequence


def test_events_leave_in_the_order_in_which_they_came() -> None:
    inbox = EventInbox()
    for event in (started(1), final(2), error(3)):
        inbox.put(event)
    assert drain(inbox) == [1, 2, 3]


def test_only_the_newest_commit_waits() -> None:
    inbox = EventInbox()
    for event in (committed(1, 10), final(2), committed(3, 20)):
        inbox.put(event)
    assert drain(inbox) == [2, 3]


def test_a_newer_partial_replaces_the_waiting_one_of_its_segment_only() -> None:
    inbox = EventInbox()
    for event in (partial(1, segment=1), partial(2, segment=2), partial(3, segment=1)):
        inbox.put(event)
    assert drain(inbox) == [2, 3]


def test_a_result_makes_the_waiting_partial_of_its_segment_stale() -> None:
    inbox = EventInbox()
    for event in (partial(1, segment=1), final(2, segment=1), partial(3, segment=2), failed(4, segment=2)):
        inbox.put(event)
    assert drain(inbox) == [2, 4]


def test_a_resume_makes_all_waiting_partials_stale() -> None:
    inbox = EventInbox()
    for event in (partial(1, segment=1), final(2, segment=2), partial(3, segment=3), resumed(4), partial(5, segment=3)):
        inbox.put(event)
    assert drain(inbox) == [2, 4, 5]


def test_deltas_of_one_answer_that_wait_are_joined_and_none_is_lost() -> None:
    inbox = EventInbox()
    for event in (
        chat_started(1),
        delta(2, "He"),
        final(3),
        delta(4, "llo"),
        done(5, "Hello"),
        delta(6, "x", answer=2),
    ):
        inbox.put(event)
    taken = [inbox.take() for _ in range(5)]
    assert taken == [chat_started(1), final(3), delta(4, "Hello"), done(5, "Hello"), delta(6, "x", answer=2)]


def test_a_delta_that_comes_after_the_waiting_one_was_taken_stands_alone() -> None:
    inbox = EventInbox()
    inbox.put(delta(1, "He"))
    taken = [inbox.take()]
    inbox.put(delta(2, "llo"))
    assert [*taken, inbox.take()] == [delta(1, "He"), delta(2, "llo")]


def test_it_is_full_at_its_bound_and_has_room_again_when_events_are_taken() -> None:
    inbox = EventInbox(max_events=2)
    was_full = []
    for event in (final(1), final(2)):
        inbox.put(event)
        was_full.append(inbox.is_full)
    inbox.take()
    was_full.append(inbox.is_full)
    assert was_full == [False, True, False]
