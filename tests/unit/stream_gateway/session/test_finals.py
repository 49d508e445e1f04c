from itertools import count

from bus.contract.records import SegmentFailed, TranscriptFinal
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.config import RetryOptions
from stream_gateway.session.effects import Decode, Dropped, Effect, Store
from stream_gateway.session.events import Failed, Final
from stream_gateway.session.finals import Finals
from stream_gateway.session.languages import SpokenLanguage
from tests.unit.stream_gateway.session.builders import (
    a_config,
    a_failure,
    a_final_window,
    a_result,
    emitted,
    of_type,
    samples,
    some_timings,
)

RETRY = RetryOptions(deadline_s=12.0, max_misses=3, backoff_s=0.25, max_backoff_s=2.0)


class Desk:
    """Finals with a clock: audio arrives in real time from wall time 0."""

    def __init__(self, *, language: str | None = None, word_times: bool = True) -> None:
        clock = AudioClock()
        for tenth in range(1, 301):
            clock.on_audio(samples(tenth / 10), tenth / 10)
        self.language = SpokenLanguage(language)
        self.finals = Finals(
            config=a_config(retry=RETRY, word_times=word_times), windows=count(1), clock=clock, language=self.language
        )
        self.workers_alive = True

    def settle(self, now: float) -> list[Effect]:
        return self.finals.settle(now, workers_alive=self.workers_alive)

    def decode(self, now: float) -> Decode:
        """The one request that is due."""
        (decode,) = of_type(self.settle(now), Decode)
        return decode

    def stored(self, now: float) -> Store:
        """The one record that is due."""
        (store,) = of_type(self.settle(now), Store)
        return store

    def published(self, segment: int = 1, *, channel: int = 0, start_s: float = 1.0, now: float = 3.6) -> Decode:
        """A confirmed job that a worker has."""
        window = a_final_window(segment, channel=channel, start_s=start_s, end_s=start_s + 2.0)
        self.finals.confirm(window, now)
        decode = self.decode(now)
        self.take(decode, now)
        return decode

    def take(self, decode: Decode, now: float) -> None:
        """The broker gets a request and a worker takes it at once."""
        self.finals.on_published(decode.segment, decode.window, now)
        self.finals.on_taken(decode.segment, decode.window, now)


def test_a_proposal_is_decoded_before_the_endpoint_but_not_stored() -> None:
    desk = Desk()
    window = a_final_window()

    desk.finals.propose(window, now=3.2)

    decode = desk.decode(3.2)
    assert (decode.kind, decode.attempt) == ("final", 1)
    assert (decode.start_sample, decode.end_sample) == (window.start_sample, window.end_sample)
    desk.finals.on_result(a_result(decode), 3.4)
    assert desk.settle(3.4) == []
    assert desk.finals.deadline() is None


def test_a_confirmed_proposal_is_not_decoded_again() -> None:
    desk = Desk()
    desk.finals.propose(a_final_window(), now=3.2)
    decode = desk.decode(3.2)
    desk.finals.on_result(a_result(decode), 3.4)

    desk.finals.confirm(a_final_window(), now=3.5)

    (effect,) = desk.settle(3.5)
    assert isinstance(effect, Store)
    assert isinstance(effect.record, TranscriptFinal)
    assert effect.record.text == "hello there"


def test_an_utterance_that_ended_elsewhere_than_proposed_is_decoded_anew() -> None:
    desk = Desk()
    desk.finals.propose(a_final_window(end_s=3.0), now=3.2)
    stale = desk.decode(3.2)

    desk.finals.confirm(a_final_window(end_s=3.3), now=3.8)

    fresh = desk.decode(3.8)
    assert fresh.window > stale.window
    assert desk.finals.on_result(a_result(stale, "old"), 3.9) == [Dropped("final_result", "stale")]
    assert desk.finals.on_result(a_result(fresh, "new"), 3.9) == []


def test_a_withdrawn_proposal_leaves_no_trace_but_a_count() -> None:
    desk = Desk()
    desk.finals.propose(a_final_window(), now=3.2)
    decode = desk.decode(3.2)

    assert desk.finals.withdraw(1) == [Dropped("tentative", "speech_resumed")]

    assert len(desk.finals) == 0
    assert desk.finals.on_result(a_result(decode), 3.4) == [Dropped("final_result", "stale")]
    desk.finals.on_published(1, decode.window, 3.4)
    assert desk.finals.on_publish_failed(1, decode.window, 3.4) == []
    assert desk.finals.deadline() is None


def test_withdrawing_what_was_never_proposed_is_harmless() -> None:
    assert Desk().finals.withdraw(1) == []


def test_only_a_stored_final_is_shown_and_leaves() -> None:
    desk = Desk()
    decode = desk.published()
    desk.finals.on_result(a_result(decode), 4.0)
    desk.stored(4.0)
    assert len(desk.finals) == 1

    effects = desk.finals.on_stored(1, 4.1)

    (final,) = emitted(effects, Final)
    assert (final.segment, final.text, final.language, final.model) == (1, "hello there", "en", "base")
    assert len(desk.finals) == 0


def test_stage_times_say_where_the_wait_went() -> None:
    desk = Desk()
    decode = desk.published(now=3.5)
    desk.finals.on_result(a_result(decode, timings=some_timings()), 4.5)
    desk.stored(4.5)

    (final,) = emitted(desk.finals.on_stored(1, 4.75), Final)

    assert final.times.endpoint_s == 0.5
    assert (final.times.queue_s, final.times.batch_wait_s) == (0.1, 0.2)
    assert (final.times.encode_s, final.times.decode_s) == (0.4, 0.5)
    assert final.times.publish_s == 0.25
    assert final.times.total_s == 1.75


def test_the_record_carries_tenant_session_place_and_words() -> None:
    desk = Desk()
    decode = desk.published()
    desk.finals.on_result(a_result(decode), 4.0)

    record = desk.stored(4.0).record

    assert isinstance(record, TranscriptFinal)
    assert (record.tenant, record.session, record.segment, record.channel) == ("acme", "s1", 1, 0)
    assert (record.start_s, record.end_s) == (1.0, 3.0)
    assert [word.text for word in record.words] == ["hello", "there"]


def test_words_that_were_not_asked_for_are_left_out() -> None:
    desk = Desk(word_times=False)
    decode = desk.published()
    assert not decode.word_times
    desk.finals.on_result(a_result(decode), 4.0)

    record = desk.stored(4.0).record

    assert isinstance(record, TranscriptFinal)
    assert record.words == ()


def test_a_doubled_answer_is_counted_and_changes_nothing() -> None:
    desk = Desk()
    decode = desk.published()
    desk.finals.on_result(a_result(decode, "first"), 4.0)

    assert desk.finals.on_result(a_result(decode, "second"), 4.1) == [Dropped("final_result", "stale")]
    assert desk.finals.on_result(a_failure(decode), 4.1) == [Dropped("final_result", "stale")]

    record = desk.stored(4.2).record
    assert isinstance(record, TranscriptFinal)
    assert record.text == "first"


def test_a_failed_segment_is_stored_and_shown_as_failed() -> None:
    desk = Desk()
    decode = desk.published()
    desk.finals.on_result(a_failure(decode), 4.0)

    record = desk.stored(4.0).record
    assert isinstance(record, SegmentFailed)
    assert (record.code, record.start_s, record.end_s) == ("decode_failed", 1.0, 3.0)

    (failed,) = emitted(desk.finals.on_stored(1, 4.1), Failed)
    assert (failed.segment, failed.code, failed.message) == (1, record.code, record.message)


def test_a_publish_that_failed_is_repeated_under_the_same_id_with_growing_waits() -> None:
    desk = Desk()
    desk.finals.confirm(a_final_window(), now=3.6)
    first = desk.decode(3.6)
    now, waits = 3.6, []
    for _ in range(6):
        assert desk.finals.on_publish_failed(1, first.window, now) == [Dropped("final_publish", "failed")]
        due = desk.finals.deadline()
        assert due is not None
        assert desk.settle(due - 0.001) == []
        assert desk.decode(due) == first
        waits.append(round(due - now, 3))
        now = due

    assert waits == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


def test_a_success_forgets_earlier_publish_failures() -> None:
    desk = Desk()
    desk.finals.confirm(a_final_window(), now=0.0)
    decode = desk.decode(0.0)
    desk.finals.on_publish_failed(1, decode.window, 0.0)
    desk.take(desk.decode(0.25), 0.25)

    again = desk.decode(12.25)
    desk.finals.on_publish_failed(1, again.window, 12.25)

    assert desk.finals.deadline() == 12.5


def test_reports_that_nobody_waits_for_change_nothing() -> None:
    desk = Desk()
    decode = desk.published(now=3.6)

    desk.finals.on_published(1, decode.window, 9.0)
    desk.finals.on_taken(1, decode.window, 9.0)
    assert desk.finals.on_publish_failed(1, decode.window, 9.0) == []

    assert desk.finals.deadline() == 15.6


def test_a_missed_answer_is_asked_for_again_as_a_new_attempt_and_either_answer_will_do() -> None:
    desk = Desk()
    first = desk.published(now=3.6)
    assert desk.finals.deadline() == 15.6

    effects = desk.settle(15.6)

    (again,) = of_type(effects, Decode)
    assert Dropped("final_deadline", "missed") in effects
    assert (again.window, again.attempt) == (first.window, 2)
    assert desk.finals.on_result(a_result(first), 15.7) == []
    assert of_type(desk.settle(15.7), Store)


def test_too_many_misses_fail_the_segment_and_not_the_session() -> None:
    desk = Desk()
    desk.published(now=0.0)
    for missed_at in (12.0, 24.0):
        assert desk.settle(missed_at - 0.1) == []
        desk.take(desk.decode(missed_at), missed_at)

    effects = desk.settle(36.0)

    assert of_type(effects, Decode) == []
    (store,) = of_type(effects, Store)
    assert isinstance(store.record, SegmentFailed)
    assert "3 attempts" in store.record.message


def test_a_final_that_no_worker_has_taken_is_not_late_however_long_the_queue() -> None:
    desk = Desk()
    desk.finals.confirm(a_final_window(), now=0.0)
    decode = desk.decode(0.0)
    desk.finals.on_published(1, decode.window, 0.0)
    for later in range(0, 600, 10):
        assert desk.settle(float(later)) == []

    desk.finals.on_taken(1, decode.window, 600.0)
    assert desk.settle(611.9) == []
    assert desk.decode(612.0).attempt == 2


def test_a_final_that_expired_in_the_queue_is_published_anew_and_counts_no_miss() -> None:
    desk = Desk()
    desk.workers_alive = False
    desk.finals.confirm(a_final_window(), now=0.0)
    for attempt in range(1, 8):
        now = desk.finals.deadline() or 0.0
        effects = desk.settle(now)
        (decode,) = of_type(effects, Decode)
        assert decode.attempt == attempt
        assert effects[:-1] == ([Dropped("final_queue", "expired")] if attempt > 1 else [])
        desk.finals.on_published(1, decode.window, now)
        assert desk.finals.deadline() == now + RETRY.max_queued_s


def test_of_a_burst_only_a_few_finals_are_with_the_broker_and_the_rest_follows_as_they_are_answered() -> None:
    desk = Desk()
    for segment in range(1, 8):
        desk.finals.confirm(a_final_window(segment, start_s=3.0 * segment, end_s=3.0 * segment + 2.0), now=30.0)

    sent = of_type(desk.settle(30.0), Decode)
    assert [decode.segment for decode in sent] == [1, 2, 3, 4]
    for decode in sent:
        desk.take(decode, 30.0)
    assert desk.settle(31.0) == []
    assert desk.finals.deadline() == 42.0

    desk.finals.on_result(a_result(sent[1]), 31.0)
    assert [decode.segment for decode in of_type(desk.settle(31.0), Decode)] == [5]


def test_nothing_counts_as_missed_while_no_worker_is_alive() -> None:
    desk = Desk()
    desk.published(now=0.0)
    desk.workers_alive = False

    for round_ in range(1, 10):
        assert desk.settle(12.0 * round_) == []

    desk.workers_alive = True
    assert desk.finals.deadline() == 120.0
    assert of_type(desk.settle(120.0), Decode)[0].attempt == 2


def test_a_failed_store_is_repeated_unchanged_for_as_long_as_it_takes() -> None:
    desk = Desk()
    decode = desk.published()
    desk.finals.on_result(a_result(decode), 4.0)
    first = desk.stored(4.0)
    now = 4.0
    for _ in range(20):
        desk.finals.on_store_failed(1, now)
        due = desk.finals.deadline()
        assert due is not None
        assert 0 < due - now <= RETRY.max_backoff_s
        assert desk.settle(due - 0.001) == []
        assert desk.stored(due) == first
        now = due


def test_finals_of_a_channel_are_stored_in_order_even_if_answered_out_of_order() -> None:
    desk = Desk()
    one = desk.published(1, start_s=1.0)
    two = desk.published(2, start_s=4.0, now=6.6)
    desk.finals.on_result(a_result(two), 7.0)
    assert desk.settle(7.0) == []

    desk.finals.on_result(a_result(one), 7.5)

    assert desk.stored(7.5).record.segment == 1
    assert desk.settle(7.6) == [], "one store is under way at most"
    desk.finals.on_stored(1, 7.7)
    assert desk.stored(7.7).record.segment == 2


def test_an_answered_final_behind_an_unanswered_one_sets_no_timer() -> None:
    desk = Desk()
    desk.published(1, start_s=1.0, now=3.6)
    two = desk.published(2, start_s=4.0, now=6.6)
    desk.finals.on_result(a_result(two), 7.0)
    desk.settle(7.0)

    assert desk.finals.deadline() == 15.6


def test_an_answered_final_behind_one_whose_store_failed_sets_no_timer() -> None:
    desk = Desk()
    decodes = [desk.published(1, start_s=1.0, now=7.0), desk.published(2, start_s=4.0, now=7.0)]
    for decode in decodes:
        desk.finals.on_result(a_result(decode), 7.0)
    desk.stored(7.0)
    desk.finals.on_store_failed(1, 7.0)
    desk.settle(7.0)

    assert desk.finals.deadline() == 7.25


def test_channels_do_not_wait_for_one_another_and_the_first_answered_goes_first() -> None:
    desk = Desk()
    desk.published(1, channel=0)
    two = desk.published(2, channel=1)
    three = desk.published(3, channel=2)
    desk.finals.on_result(a_result(three), 4.0)
    desk.finals.on_result(a_result(two), 4.1)

    assert desk.stored(4.2).record.segment == 3
    desk.finals.on_stored(3, 4.3)
    assert desk.stored(4.3).record.segment == 2


def test_a_store_that_keeps_failing_does_not_hold_up_other_channels() -> None:
    desk = Desk()
    for decode in [desk.published(1, channel=0), desk.published(2, channel=1)]:
        desk.finals.on_result(a_result(decode), 4.0)
    assert desk.stored(4.0).record.segment == 1

    desk.finals.on_store_failed(1, 4.0)

    assert desk.stored(4.0).record.segment == 2


def test_the_oldest_sample_owed_is_known_per_channel() -> None:
    desk = Desk()
    one = desk.published(1, start_s=1.0)
    desk.published(2, start_s=4.0)
    desk.published(3, channel=1, start_s=0.5)

    assert desk.finals.first_sample_owed(0) == one.start_sample
    assert desk.finals.first_sample_owed(1) == samples(0.4)
    assert desk.finals.first_sample_owed(2) is None


def test_a_bus_that_is_back_gets_unanswered_work_again_and_owed_records_at_once() -> None:
    desk = Desk()
    in_broker = desk.published(1, start_s=1.0)
    waiting = a_final_window(2, channel=1)
    desk.finals.confirm(waiting, 4.0)
    desk.finals.on_publish_failed(2, desk.decode(4.0).window, 4.0)
    answered = desk.published(3, channel=2)
    desk.finals.on_result(a_result(answered), 4.0)
    desk.stored(4.0)
    desk.finals.on_store_failed(3, 4.0)

    desk.finals.on_bus_back(4.1)

    effects = desk.settle(4.1)
    assert [(one.segment, one.attempt) for one in of_type(effects, Decode)] == [(1, in_broker.attempt + 1), (2, 1)]
    assert [one.record.segment for one in of_type(effects, Store)] == [3]


def test_the_language_detected_on_the_first_final_is_used_for_the_next() -> None:
    desk = Desk()
    first = desk.published(1)
    assert first.language is None
    desk.finals.on_result(a_result(first, language="de"), 4.0)

    assert desk.published(2, start_s=5.0).language == "de"


def test_a_pause_in_mid_phrase_does_not_settle_the_language() -> None:
    desk = Desk()
    desk.finals.propose(a_final_window(), now=3.2)
    decode = desk.decode(3.2)
    desk.finals.on_result(a_result(decode, language="en"), 3.4)
    desk.finals.withdraw(1)

    assert desk.language.current is None


def test_a_proposal_that_was_answered_settles_the_language_once_its_utterance_ends() -> None:
    desk = Desk()
    desk.finals.propose(a_final_window(), now=3.2)
    desk.finals.on_result(a_result(desk.decode(3.2), language="de"), 3.4)
    assert desk.language.current is None

    desk.finals.confirm(a_final_window(), now=3.5)

    assert desk.language.current == "de"
