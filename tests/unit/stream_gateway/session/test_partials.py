from itertools import count

import pytest

from bus.contract.work import SUPERSEDED, Failure, Task
from stream_gateway.policy.cadence import CadenceOptions, PoolLag
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.effects import Decode, Dropped, Effect
from stream_gateway.session.events import Partial
from stream_gateway.session.languages import SpokenLanguage
from stream_gateway.session.partials import Partials
from stream_gateway.session.utterance import Heard, Utterance
from tests.unit.stream_gateway.session.builders import a_failure, a_result, emitted, of_type, samples

CADENCE = CadenceOptions(base_s=0.4, max_s=3.0, give_up_s=3.0, pause_s=6.0, jitter=0.0)


def an_utterance(segment: int = 1, *, channel: int = 0, start_s: float = 1.0) -> Utterance:
    return Utterance(segment, channel, start_sample=samples(start_s - 0.3), speech_start_sample=samples(start_s))


class Desk:
    """Partials with a clock: audio arrives in real time from wall time 0, and is scored at once."""

    def __init__(
        self, *utterances: Utterance, task: Task = "transcribe", lag: PoolLag | None = None, session: str = "s1"
    ) -> None:
        clock = AudioClock()
        for tenth in range(1, 301):
            clock.on_audio(samples(tenth / 10), tenth / 10)
        self.utterances = list(utterances)
        self.partials = Partials(
            session=session,
            windows=count(1),
            clock=clock,
            language=SpokenLanguage(None),
            task=task,
            lag=lag or PoolLag(CADENCE),
        )

    def settle(self, now: float) -> list[Effect]:
        return self.partials.settle(self.utterances, samples(now), now)

    def sent(self, now: float) -> Decode:
        (decode,) = of_type(self.settle(now), Decode)
        return decode

    def answer(self, decode: Decode, text: str, now: float) -> list[Effect]:
        return self.partials.on_result(a_result(decode, text), self.utterances, now)

    def deadline(self, now: float) -> float | None:
        return self.partials.deadline(self.utterances, now)


def test_nothing_is_asked_while_nobody_speaks() -> None:
    assert Desk().settle(2.0) == []


def test_four_tenths_of_a_second_of_speech_are_asked_for_with_their_pre_roll() -> None:
    desk = Desk(an_utterance(start_s=1.0))
    assert desk.settle(1.39) == []

    decode = desk.sent(1.4)

    assert (decode.kind, decode.segment, decode.word_times) == ("partial", 1, True)
    assert (decode.start_sample, decode.end_sample) == (samples(0.7), samples(1.4))


def test_one_window_is_in_flight_at_most() -> None:
    desk = Desk(an_utterance(1), an_utterance(2, channel=1))
    desk.sent(2.0)
    assert desk.settle(4.0) == []


def test_the_next_window_waits_for_the_cadence_and_for_news() -> None:
    desk = Desk(an_utterance())
    desk.answer(desk.sent(2.0), "hello", 2.1)

    assert desk.settle(2.3) == []
    assert desk.partials.settle(desk.utterances, samples(2.2), 2.4) == [], "too little was said since"
    assert desk.sent(2.4).end_sample == samples(2.4)


def test_a_speaker_who_is_quiet_is_not_asked_about_for_a_final_may_follow_at_once() -> None:
    utterance = an_utterance()
    utterance.quiet = True
    assert Desk(utterance).settle(2.0) == []


def test_the_utterance_shown_least_recently_goes_first() -> None:
    desk = Desk(an_utterance(1), an_utterance(2, channel=1))
    first = desk.sent(2.0)
    desk.answer(first, "hello", 2.1)
    second = desk.sent(2.5)
    desk.answer(second, "hello", 2.6)

    assert [first.segment, second.segment, desk.sent(3.0).segment] == [1, 2, 1]


def test_an_answer_is_shown_with_its_place_and_lag() -> None:
    desk = Desk(an_utterance(start_s=1.0))

    (partial,) = emitted(desk.answer(desk.sent(2.0), "hello there", 2.5), Partial)

    assert (partial.segment, partial.channel, partial.start_s, partial.end_s) == (1, 0, 1.0, 2.0)
    assert (partial.stable, partial.text, partial.language) == ("", "hello there", "en")
    assert partial.lag_s == 0.5


def test_an_answer_is_remembered_as_what_was_heard_of_its_utterance() -> None:
    utterance = an_utterance(start_s=1.0)
    desk = Desk(utterance)
    desk.answer(desk.sent(2.0), "hello there", 2.5)
    assert utterance.heard == Heard("hello there", "en", samples(2.0))


def test_words_that_two_answers_share_become_stable() -> None:
    desk = Desk(an_utterance(start_s=1.0))
    desk.answer(desk.sent(2.0), "hello there", 2.1)

    (partial,) = emitted(desk.answer(desk.sent(3.0), "hello there you", 3.1), Partial)

    assert (partial.stable, partial.text) == ("hello there", "hello there you")


def test_a_late_or_doubled_answer_is_counted_and_not_shown() -> None:
    desk = Desk(an_utterance())
    decode = desk.sent(2.0)
    desk.answer(decode, "hello", 2.1)

    assert desk.answer(decode, "hello", 2.2) == [Dropped("partial", "stale")]


def test_an_answer_to_an_older_window_does_not_clear_the_newer_one() -> None:
    desk = Desk(an_utterance())
    old = desk.sent(2.0)
    desk.settle(6.0)
    new = desk.sent(12.5)

    assert desk.answer(old, "hello", 12.6) == [Dropped("partial", "stale")]
    assert emitted(desk.answer(new, "hello", 12.7), Partial)


def test_an_answer_to_an_utterance_that_has_ended_is_stale() -> None:
    desk = Desk(an_utterance())
    decode = desk.sent(2.0)
    desk.utterances.clear()

    assert desk.answer(decode, "hello", 2.1) == [Dropped("partial", "stale")]


def test_an_answer_without_words_shows_nothing() -> None:
    desk = Desk(an_utterance())
    assert desk.answer(desk.sent(2.0), "", 2.1) == [Dropped("partial", "empty")]


def test_a_failed_window_is_not_repeated_but_followed_by_a_newer_one() -> None:
    desk = Desk(an_utterance())
    decode = desk.sent(2.0)

    assert desk.partials.on_result(a_failure(decode), desk.utterances, 2.2) == [Dropped("partial", "failed")]

    assert desk.sent(2.7).end_sample == samples(2.7)


def test_a_window_that_got_no_answer_is_given_up_and_slows_the_cadence() -> None:
    desk = Desk(an_utterance())
    desk.sent(2.0)
    assert desk.deadline(2.0) == 6.0

    assert desk.settle(6.0) == [Dropped("partial", "lost")]

    assert desk.deadline(6.0) == 12.0, "a pool that answers nothing is only probed"


def test_a_window_that_was_never_published_frees_the_way_after_the_usual_interval() -> None:
    desk = Desk(an_utterance())
    decode = desk.sent(2.0)

    assert desk.partials.on_publish_failed(decode.window, 2.1) == [Dropped("partial", "unpublished")]

    assert desk.deadline(2.1) == pytest.approx(2.5)
    assert desk.sent(2.6)


def test_fast_publish_failures_do_not_make_a_slow_pool_look_fast() -> None:
    desk = Desk(an_utterance())
    desk.answer(desk.sent(2.0), "hello", 4.0)
    slow = desk.sent(5.0)

    desk.partials.on_publish_failed(slow.window, 5.0)

    assert desk.deadline(5.0) == 8.0


def test_a_report_on_an_old_window_changes_nothing() -> None:
    desk = Desk(an_utterance())
    decode = desk.sent(2.0)

    assert desk.partials.on_publish_failed(decode.window - 1, 2.1) == []
    desk.answer(decode, "hello", 2.2)
    assert desk.partials.on_publish_failed(decode.window, 2.3) == []


def test_slow_answers_stretch_the_interval() -> None:
    desk = Desk(an_utterance())
    desk.answer(desk.sent(2.0), "hello", 3.0)
    desk.answer(desk.sent(4.0), "hello", 5.0)

    assert desk.deadline(5.0) == 5.5, "one and a half round trips after the last sending"


def test_no_timer_runs_for_an_idle_session_or_once_the_interval_has_passed() -> None:
    desk = Desk()
    assert desk.deadline(0.0) is None
    desk.utterances.append(an_utterance())
    desk.answer(desk.sent(2.0), "hello", 2.1)

    assert desk.deadline(2.1) == 2.4
    assert desk.deadline(2.4) is None, "the next scores decide"


def test_a_window_of_a_long_utterance_begins_at_its_newest_agreed_words() -> None:
    desk = Desk(an_utterance(start_s=1.0))
    text = " ".join(f"w{number}" for number in range(20))
    desk.answer(desk.sent(9.0), text, 9.1)
    desk.answer(desk.sent(9.5), text, 9.6)

    assert desk.sent(10.5).start_sample > samples(5.0)


def test_a_translation_is_written_as_english_is_whatever_was_spoken() -> None:
    desk = Desk(an_utterance(), task="translate")
    for now in (2.0, 3.0):
        decode = desk.sent(now)
        effects = desk.partials.on_result(a_result(decode, "this is it", language="zh"), desk.utterances, now + 0.1)
    (partial,) = emitted(effects, Partial)
    assert (partial.stable, partial.text, partial.language) == ("this is", "this is it", "zh")


def test_a_partial_that_its_final_has_overtaken_makes_room_for_the_next_and_tells_nothing_of_the_pool() -> None:
    desk = Desk(an_utterance())
    decode = desk.sent(2.0)
    failure = Failure(SUPERSEDED, "a newer window covers its audio")
    effects = desk.partials.on_result(a_result(decode, "", failure=failure), desk.utterances, 3.5)
    assert effects == [Dropped("partial", "superseded")]
    assert desk.sent(3.5).window > decode.window


# --- sessions of one pool


def test_what_one_session_measures_slows_the_others() -> None:
    lag = PoolLag(CADENCE)
    one, other = Desk(an_utterance(), lag=lag), Desk(an_utterance(), lag=lag)
    other.answer(other.sent(2.0), "hello", 2.1)
    assert other.deadline(2.1) == 2.4

    one.answer(one.sent(2.0), "hello", 4.0)

    assert other.deadline(2.1) == pytest.approx(2.0 + 1.5 * 1.05)


def test_an_interval_that_got_shorter_meanwhile_is_not_waited_for() -> None:
    lag = PoolLag(CADENCE)
    desk = Desk(an_utterance(), lag=lag)
    desk.answer(desk.sent(2.0), "hello", 4.0)
    desk.answer(desk.sent(5.0), "hello", 5.1)
    assert desk.settle(6.0) == []
    lag.on_partial(0.1, 5.9)
    lag.on_partial(0.1, 6.9)
    assert desk.settle(6.9) != []


def test_one_session_probes_a_pool_whose_partials_have_stopped() -> None:
    lag = PoolLag(CADENCE)
    lag.on_partial(9.0, 0.0)
    one, other = Desk(an_utterance(), lag=lag), Desk(an_utterance(), lag=lag)

    probe = one.sent(2.0)
    assert other.settle(2.0) == []
    assert other.deadline(2.0) == 2.0 + CADENCE.pause_s  # it asks again by itself
    one.answer(probe, "hello", 5.0)

    assert other.sent(8.0)
    assert one.settle(8.0) == []


def test_sessions_that_ask_at_once_do_not_ask_again_at_once() -> None:
    lag = PoolLag(CadenceOptions(jitter=0.1))
    next_at = []
    for session in ("s1", "s2", "s3"):
        desk = Desk(an_utterance(), lag=lag, session=session)
        desk.answer(desk.sent(2.0), "hello", 2.1)
        next_at.append(desk.deadline(2.1))
    assert len(set(next_at)) == 3
    assert all(at is not None and 2.36 <= at <= 2.44 for at in next_at)


def test_a_lost_window_is_sent_again_although_no_more_audio_comes() -> None:
    desk = Desk(an_utterance())
    lost = desk.sent(2.0)

    assert of_type(desk.partials.settle(desk.utterances, samples(2.0), 6.0), Decode) == []
    (again,) = of_type(desk.partials.settle(desk.utterances, samples(2.0), 60.0), Decode)

    assert (again.start_sample, again.end_sample) == (lost.start_sample, lost.end_sample)


def test_what_was_in_flight_when_the_bus_went_is_sent_again_at_once_and_tells_nothing_of_the_pool() -> None:
    lag = PoolLag(CADENCE)
    desk = Desk(an_utterance(), lag=lag)
    lost = desk.sent(2.0)

    assert desk.partials.on_bus_back(desk.utterances) == [Dropped("partial", "bus_lost")]
    assert desk.partials.on_bus_back(desk.utterances) == []

    (again,) = of_type(desk.partials.settle(desk.utterances, samples(2.0), 5.0), Decode)
    assert (again.start_sample, again.end_sample) == (lost.start_sample, lost.end_sample)
    assert again.window > lost.window
    assert lag.interval_s(0.5) == 0.4


def test_a_window_that_was_not_answered_soon_after_a_worker_died_is_sent_again() -> None:
    lag = PoolLag(CADENCE)
    desk = Desk(an_utterance(), lag=lag)
    lost = desk.sent(2.0)

    desk.partials.on_worker_gone(2.2)
    desk.partials.on_worker_gone(2.6)
    assert desk.deadline(2.2) == pytest.approx(2.7)
    assert desk.settle(2.6) == []
    dropped, again = desk.partials.settle(desk.utterances, samples(2.0), 2.7)

    assert dropped == Dropped("partial", "worker_gone")
    assert isinstance(again, Decode) and again.end_sample == lost.end_sample
    assert lag.interval_s(0.5) == 0.4
    assert desk.deadline(2.7) == pytest.approx(6.7), "the next one is not doubted"


def test_an_answer_from_a_worker_that_lives_ends_the_doubt() -> None:
    desk = Desk(an_utterance())
    sent = desk.sent(2.0)
    desk.partials.on_worker_gone(2.2)
    (shown,) = emitted(desk.answer(sent, "hello", 2.25), Partial)
    assert shown.text == "hello"
    desk.sent(2.5)
    assert desk.settle(2.8) == []


def test_the_death_of_a_worker_is_nothing_to_who_asked_for_nothing() -> None:
    desk = Desk(an_utterance())
    desk.partials.on_worker_gone(1.0)
    desk.sent(2.0)
    assert desk.deadline(2.0) == 6.0
