from dataclasses import replace

from bus.contract.records import SegmentFailed, TranscriptFinal
from stream_gateway.session.effects import Cancel, Dropped, Store
from stream_gateway.session.events import Failed, Final
from stream_gateway.session.utterance import Heard
from tests.unit.stream_gateway.session.builders import (
    a_failure,
    a_final_window,
    a_result,
    emitted,
    samples,
    some_timings,
)
from tests.unit.stream_gateway.session.finals_desk import FinalsDesk


def test_a_proposal_is_decoded_before_the_endpoint_but_not_stored() -> None:
    desk = FinalsDesk()
    window = a_final_window()

    desk.finals.propose(window, now=3.2)

    decode = desk.decode(3.2)
    assert (decode.kind, decode.attempt) == ("final", 1)
    assert (decode.start_sample, decode.end_sample) == (window.start_sample, window.end_sample)
    desk.finals.on_result(a_result(decode), 3.4)
    assert desk.settle(3.4) == []
    assert desk.finals.deadline() is None


def test_a_confirmed_proposal_is_not_decoded_again() -> None:
    desk = FinalsDesk()
    desk.finals.propose(a_final_window(), now=3.2)
    decode = desk.decode(3.2)
    desk.finals.on_result(a_result(decode), 3.4)

    desk.finals.confirm(a_final_window(), now=3.5)

    (effect,) = desk.settle(3.5)
    assert isinstance(effect, Store)
    assert isinstance(effect.record, TranscriptFinal)
    assert effect.record.text == "hello there"


def test_an_utterance_that_ended_elsewhere_than_proposed_is_decoded_anew() -> None:
    desk = FinalsDesk()
    desk.finals.propose(a_final_window(end_s=3.0), now=3.2)
    stale = desk.decode(3.2)

    desk.finals.confirm(a_final_window(end_s=3.3), now=3.8)

    fresh = desk.decode(3.8)
    assert fresh.window > stale.window
    assert desk.finals.on_result(a_result(stale, "old"), 3.9) == [Dropped("final_result", "stale")]
    assert desk.finals.on_result(a_result(fresh, "new"), 3.9) == []


def test_a_withdrawn_proposal_leaves_no_trace_but_a_count_and_is_cancelled() -> None:
    desk = FinalsDesk()
    desk.finals.propose(a_final_window(), now=3.2)
    decode = desk.decode(3.2)

    assert desk.finals.withdraw(1) == [
        Dropped("tentative", "speech_resumed"),
        Cancel(1, decode.window, "speech_resumed"),
    ]

    assert len(desk.finals) == 0
    assert desk.finals.on_result(a_result(decode), 3.4) == [Dropped("final_result", "stale")]
    desk.finals.on_published(1, decode.window, 3.4)
    assert desk.finals.on_publish_failed(1, decode.window, 3.4) == []
    assert desk.finals.deadline() is None


def test_withdrawing_what_was_never_proposed_is_harmless() -> None:
    assert FinalsDesk().finals.withdraw(1) == []


def test_only_a_stored_final_is_shown_and_leaves() -> None:
    desk = FinalsDesk()
    decode = desk.published()
    desk.finals.on_result(a_result(decode), 4.0)
    desk.stored(4.0)
    assert len(desk.finals) == 1

    effects = desk.finals.on_stored(1, 4.1)

    (final,) = emitted(effects, Final)
    assert (final.segment, final.text, final.language, final.model) == (1, "hello there", "en", "base")
    assert len(desk.finals) == 0


def test_stage_times_say_where_the_wait_went() -> None:
    desk = FinalsDesk()
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
    desk = FinalsDesk()
    decode = desk.published()
    desk.finals.on_result(a_result(decode), 4.0)

    record = desk.stored(4.0).record

    assert isinstance(record, TranscriptFinal)
    assert (record.tenant, record.session, record.segment, record.channel) == ("acme", "s1", 1, 0)
    assert (record.start_s, record.end_s) == (1.0, 3.0)
    assert [word.text for word in record.words] == ["hello", "there"]


def test_words_that_were_not_asked_for_are_left_out() -> None:
    desk = FinalsDesk(word_times=False)
    decode = desk.published()
    assert not decode.word_times
    desk.finals.on_result(a_result(decode), 4.0)

    record = desk.stored(4.0).record

    assert isinstance(record, TranscriptFinal)
    assert record.words == ()


def test_a_doubled_answer_is_counted_and_changes_nothing() -> None:
    desk = FinalsDesk()
    decode = desk.published()
    desk.finals.on_result(a_result(decode, "first"), 4.0)

    assert desk.finals.on_result(a_result(decode, "second"), 4.1) == [Dropped("final_result", "stale")]
    assert desk.finals.on_result(a_failure(decode), 4.1) == [Dropped("final_result", "stale")]

    record = desk.stored(4.2).record
    assert isinstance(record, TranscriptFinal)
    assert record.text == "first"


def test_a_failed_segment_is_stored_and_shown_as_failed() -> None:
    desk = FinalsDesk()
    decode = desk.published()
    desk.finals.on_result(a_failure(decode), 4.0)

    record = desk.stored(4.0).record
    assert isinstance(record, SegmentFailed)
    assert (record.code, record.start_s, record.end_s) == ("decode_failed", 1.0, 3.0)

    (failed,) = emitted(desk.finals.on_stored(1, 4.1), Failed)
    assert (failed.segment, failed.code, failed.message) == (1, record.code, record.message)


def test_finals_of_a_channel_are_stored_in_order_even_if_answered_out_of_order() -> None:
    desk = FinalsDesk()
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
    desk = FinalsDesk()
    desk.published(1, start_s=1.0, now=3.6)
    two = desk.published(2, start_s=4.0, now=6.6)
    desk.finals.on_result(a_result(two), 7.0)
    desk.settle(7.0)

    assert desk.finals.deadline() == 15.6


def test_channels_do_not_wait_for_one_another_and_the_first_answered_goes_first() -> None:
    desk = FinalsDesk()
    desk.published(1, channel=0)
    two = desk.published(2, channel=1)
    three = desk.published(3, channel=2)
    desk.finals.on_result(a_result(three), 4.0)
    desk.finals.on_result(a_result(two), 4.1)

    assert desk.stored(4.2).record.segment == 3
    desk.finals.on_stored(3, 4.3)
    assert desk.stored(4.3).record.segment == 2


def test_the_oldest_sample_owed_is_known_per_channel() -> None:
    desk = FinalsDesk()
    one = desk.published(1, start_s=1.0)
    desk.published(2, start_s=4.0)
    desk.published(3, channel=1, start_s=0.5)

    assert desk.finals.first_sample_owed(0) == one.start_sample
    assert desk.finals.first_sample_owed(1) == samples(0.4)
    assert desk.finals.first_sample_owed(2) is None


def test_the_language_detected_on_the_first_final_is_used_for_the_next() -> None:
    desk = FinalsDesk()
    first = desk.published(1)
    assert first.language is None
    desk.finals.on_result(a_result(first, language="de"), 4.0)

    assert desk.published(2, start_s=5.0).language == "de"


def test_a_pause_in_mid_phrase_does_not_settle_the_language() -> None:
    desk = FinalsDesk()
    desk.finals.propose(a_final_window(), now=3.2)
    decode = desk.decode(3.2)
    desk.finals.on_result(a_result(decode, language="en"), 3.4)
    desk.finals.withdraw(1)

    assert desk.language.current is None


def test_a_proposal_that_was_answered_settles_the_language_once_its_utterance_ends() -> None:
    desk = FinalsDesk()
    desk.finals.propose(a_final_window(), now=3.2)
    desk.finals.on_result(a_result(desk.decode(3.2), language="de"), 3.4)
    assert desk.language.current is None

    desk.finals.confirm(a_final_window(), now=3.5)

    assert desk.language.current == "de"


def test_what_is_heard_of_a_pause_is_the_answer_to_its_proposal_until_it_is_confirmed() -> None:
    desk = FinalsDesk()
    assert desk.finals.heard(1) is None
    desk.finals.propose(a_final_window(1), 3.2)
    assert desk.finals.heard(1) is None
    decode = desk.decode(3.2)

    desk.finals.on_result(a_result(decode, "that is all", language="de"), 3.4)

    assert desk.finals.heard(1) == Heard("that is all", "de", decode.end_sample)
    desk.finals.confirm(a_final_window(1), 3.5)
    assert desk.finals.heard(1) is None


def test_what_is_heard_of_a_translation_is_written_in_english() -> None:
    desk = FinalsDesk(task="translate")
    desk.finals.propose(a_final_window(1), 3.2)
    desk.finals.on_result(a_result(desk.decode(3.2), "that is all", language="de"), 3.4)
    heard = desk.finals.heard(1)
    assert heard is not None
    assert heard.language == "en"


def answered(desk: FinalsDesk, segment: int, text: str, *, start_s: float, now: float) -> None:
    """An utterance of two seconds, from its endpoint to its stored record."""
    decode = desk.published(segment, start_s=start_s, now=now)
    desk.finals.on_result(a_result(decode, text), now)
    desk.stored(now)
    desk.finals.on_stored(segment, now)


def test_a_final_is_decoded_together_with_what_was_said_right_before_it() -> None:
    desk = FinalsDesk(language="en")
    answered(desk, 1, "hello there", start_s=1.0, now=3.6)

    decode = desk.published(2, start_s=4.0, now=6.6)

    assert (decode.start_sample, decode.prior_samples) == (samples(0.9), samples(3.0))
    assert decode.end_sample == samples(6.1)
    assert decode.prior_text == "hello there"


def test_a_final_is_decoded_alone_while_its_language_is_not_known() -> None:
    unknown = FinalsDesk()
    unknown.finals.confirm(a_final_window(1, start_s=1.0), 3.6)
    unknown.take(unknown.decode(3.6), 3.6)
    assert unknown.published(2, start_s=4.0, now=6.6).prior_samples == 0


def test_a_pool_that_lags_is_asked_for_finals_in_a_hurry_and_alone() -> None:
    desk = FinalsDesk(language="en")
    answered(desk, 1, "hello there", start_s=1.0, now=3.6)
    window = replace(a_final_window(2, start_s=4.0, end_s=6.0), draft="well then", draft_end_sample=samples(5.0))
    desk.finals.confirm(window, 6.6)
    unhurried = desk.decode(6.6)
    desk.finals.on_publish_failed(2, unhurried.window, 6.6)
    desk.lag.on_partial(1.3, 6.7)

    hurried = desk.decode(9.0)

    assert (unhurried.hurried, unhurried.prior_text) == (False, "hello there")
    assert (hurried.hurried, hurried.prior_samples, hurried.start_sample) == (True, 0, window.start_sample)
    for decode in (unhurried, hurried):
        assert (decode.draft, decode.draft_end_sample) == ("well then", samples(5.0))


def test_what_an_answer_waits_for_is_decoded_in_a_hurry_where_that_saves_time() -> None:
    desk = FinalsDesk(language="en", follow_partials=False)
    desk.awaited = True
    first = desk.published(1, start_s=1.0, now=3.6)
    desk.finals.on_result(a_result(first, timings=some_timings()), 4.6)
    desk.finals.on_stored(1, 4.7)

    hurried = desk.published(2, start_s=4.0, now=6.6)
    desk.finals.on_result(a_result(hurried, timings=some_timings()), 7.0)
    desk.finals.on_stored(2, 7.1)
    still = desk.published(3, start_s=7.0, now=9.6)
    desk.finals.on_result(a_result(still), 9.7)
    desk.finals.on_stored(3, 9.8)
    desk.awaited = False
    unhurried = desk.published(4, start_s=10.0, now=12.6)

    assert [one.hurried for one in (first, hurried, still, unhurried)] == [False, True, True, False]
    assert (hurried.prior_samples, still.prior_samples) == (0, 0)
    assert unhurried.prior_samples > 0


def test_a_session_without_partials_is_not_in_a_hurry_unless_it_answers() -> None:
    desk = FinalsDesk(language="en", partials=False)
    answered(desk, 1, "hello there", start_s=1.0, now=3.6)
    desk.lag.on_partial(9.0, 3.7)
    desk.haste.on_final(9.0, 3.7, hurried=False)

    decode = desk.published(2, start_s=4.0, now=6.6)
    desk.awaited = True
    answers = desk.published(3, start_s=7.0, now=9.6)

    assert (decode.hurried, decode.prior_text) == (False, "hello there")
    assert answers.hurried


def test_where_finals_do_not_follow_partials_only_hurried_ones_are_told_what_was_shown() -> None:
    desk = FinalsDesk(language="en", follow_partials=False)
    desk.finals.confirm(replace(a_final_window(1), draft="well then", draft_end_sample=samples(2.0)), 3.6)
    unhurried = desk.decode(3.6)
    desk.finals.on_publish_failed(1, unhurried.window, 3.6)
    desk.lag.on_partial(1.3, 3.7)

    hurried = desk.decode(9.0)

    assert (unhurried.draft, unhurried.draft_end_sample) == ("", 0)
    assert (hurried.draft, hurried.draft_end_sample) == ("well then", samples(2.0))


def test_a_final_is_decoded_alone_after_one_whose_text_is_not_known_yet() -> None:
    desk = FinalsDesk(language="en")
    desk.published(1, start_s=1.0, now=3.6)

    assert desk.published(2, start_s=4.0, now=6.6).prior_samples == 0
