from bus.contract.client_protocol import HeldAnswer, ServerEvent, SessionResume
from clients.held import HeldEvents
from tests.unit.clients.events import (
    cancelled,
    chat_failed,
    chat_started,
    committed,
    delta,
    done,
    failed,
    final,
    partial,
)


def held(*events: ServerEvent, channels: int = 1) -> HeldEvents:
    held_events = HeldEvents()
    held_events.has_channels(channels)
    for event in events:
        assert held_events.is_news(event.seq)
        held_events.on_event(event)
    return held_events


def resume(events: HeldEvents) -> SessionResume:
    return events.resume(session="s1", token="t", offset=7)


def test_at_first_there_is_nothing() -> None:
    assert resume(held()) == SessionResume(session="s1", token="t", seq=0, offset=7, segments=(0,), answer=None)


def test_the_newest_segment_of_each_channel_counts() -> None:
    events = held(
        final(1, segment=1), partial(2, segment=3), failed(3, segment=2), final(4, segment=4, channel=1), channels=2
    )
    assert (resume(events).seq, resume(events).segments) == (4, (2, 4))
    assert events.results == 3


def test_a_channel_that_was_not_announced_is_not_spoken_of() -> None:
    assert resume(held(final(1, channel=1))).segments == (0,)


def test_a_running_answer_is_held_with_all_of_its_text() -> None:
    events = held(
        chat_started(1, answer=2), delta(2, "Hel", answer=2), delta(3, "lo", answer=2), delta(4, "?", answer=1)
    )
    assert resume(events).answer == HeldAnswer(answer=2, text="Hello")
    assert events.running_answer == 2


def test_an_answer_that_is_over_is_held_without_text() -> None:
    for end in (done(3, "Hel"), cancelled(3, "Hel"), chat_failed(3, "Hel")):
        events = held(chat_started(1), delta(2, "Hel"), end)
        assert resume(events).answer == HeldAnswer(answer=1, text=None)
        assert events.running_answer is None
        assert resume(held(chat_started(1), end, chat_started(4, answer=2))).answer == HeldAnswer(answer=2, text="")


def test_events_are_news_once_and_gaps_are_counted() -> None:
    events = held(committed(2, 5))
    assert not events.is_news(2)
    assert not events.is_news(1)
    assert events.is_news(None)
    assert events.is_news(5)
    assert events.missed_events == 2
    assert resume(events).seq == 5
