from itertools import count

from bus.contract.client_protocol import EndpointMode
from bus.contract.work import Failure, Word
from stream_gateway.policy.cadence import PoolLag
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES, SegmenterOptions
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.effects import Cancel, Decode, Dropped, Effect
from stream_gateway.session.events import SpeechEnded, SpeechStarted
from stream_gateway.session.finals import Finals
from stream_gateway.session.languages import SpokenLanguage
from stream_gateway.session.segment_numbers import SegmentNumbers
from stream_gateway.session.track import Track
from stream_gateway.session.utterance import Heard
from tests.unit.stream_gateway.session.builders import QUIET, SPEECH, a_config, a_result, emitted, of_type, samples


class Desk:
    """A track with its finals; scores come in one call per stretch."""

    def __init__(self, *, mode: EndpointMode = "fixed", **options: float) -> None:
        self.lag = PoolLag()
        self.finals = Finals(config=a_config(), windows=count(1), clock=AudioClock(), language=SpokenLanguage(None))
        self.track = Track(
            channel=1,
            options=SegmenterOptions(**options),
            endpoint=EndpointOptions(mode=mode),
            lag=self.lag,
            finals=self.finals,
            numbers=SegmentNumbers(last=(0, 0)),
        )

    def hear(self, score: float, seconds: float) -> list[Effect]:
        return self.track.on_scores([score] * (samples(seconds) // FRAME_SAMPLES), 0.0)

    def is_pausing(self) -> bool:
        assert self.track.utterance is not None
        return self.track.utterance.pausing

    def is_quiet(self) -> bool:
        assert self.track.utterance is not None
        return self.track.utterance.quiet

    def decodes(self) -> list[Decode]:
        return of_type(self.finals.settle(0.0, workers_alive=True), Decode)


def test_silence_opens_nothing_and_is_settled_but_for_the_pre_roll() -> None:
    desk = Desk(pre_roll_s=0.3)

    assert desk.hear(QUIET, 4.0) == []

    assert desk.track.utterance is None
    assert desk.track.settled_before == desk.track.scored_sample - samples(0.3)


def test_speech_opens_an_utterance_on_its_channel() -> None:
    desk = Desk()
    desk.hear(QUIET, 0.96)

    (started,) = emitted(desk.hear(SPEECH, 0.5), SpeechStarted)

    assert (started.segment, started.channel, started.start_s) == (1, 1, 0.96)
    assert desk.track.utterance is not None
    assert desk.track.settled_before == desk.track.utterance.start_sample


def test_a_pause_proposes_a_final_and_resumed_speech_withdraws_it() -> None:
    desk = Desk(tentative_s=0.2, endpoint_s=0.5)
    desk.hear(SPEECH, 1.0)
    desk.hear(QUIET, 0.32)
    assert desk.is_pausing()
    assert len(desk.decodes()) == 1

    assert desk.hear(SPEECH, 0.2) == [Dropped("tentative", "speech_resumed"), Cancel(1, 1, "speech_resumed")]

    assert not desk.is_pausing()
    assert len(desk.finals) == 0


def test_the_end_of_an_utterance_confirms_what_was_proposed() -> None:
    desk = Desk(tentative_s=0.2, endpoint_s=0.5)
    desk.hear(SPEECH, 0.96)
    desk.hear(QUIET, 0.32)
    (proposed,) = desk.decodes()

    (ended,) = emitted(desk.hear(QUIET, 0.32), SpeechEnded)

    assert (ended.segment, ended.end_s) == (1, 0.96)
    assert desk.track.utterance is None
    assert desk.decodes() == []
    assert proposed.channel == 1


def test_audio_stays_unsettled_until_its_final_is_stored() -> None:
    desk = Desk()
    desk.hear(QUIET, 1.0)
    desk.hear(SPEECH, 1.0)
    desk.hear(QUIET, 5.0)
    (decode,) = desk.decodes()
    assert desk.track.settled_before == decode.start_sample

    desk.finals.on_result(a_result(decode, "", failure=Failure("decode_failed", "bad window")), 0.0)
    desk.finals.settle(0.0, workers_alive=True)
    desk.finals.on_stored(decode.segment, 0.0)

    assert desk.track.settled_before > decode.end_sample


def test_release_is_told_in_steps_and_never_twice() -> None:
    desk = Desk(pre_roll_s=0.3)
    assert desk.track.releasable() is None
    desk.hear(QUIET, 0.5)
    assert desk.track.releasable() is None, "too little to be worth telling"
    desk.hear(QUIET, 1.0)

    assert desk.track.releasable() == desk.track.settled_before
    assert desk.track.releasable() is None


def test_an_utterance_at_its_maximum_length_is_followed_by_another_without_a_gap() -> None:
    desk = Desk(max_utterance_s=5.0, cut_search_s=2.0)

    effects = desk.hear(SPEECH, 7.0)

    assert [event.segment for event in emitted(effects, SpeechStarted)] == [1, 2]
    (first,) = desk.decodes()
    assert desk.track.utterance is not None
    assert first.end_sample == desk.track.utterance.start_sample


def test_a_commit_ends_the_utterance_at_once_and_takes_over_what_a_pause_proposed() -> None:
    desk = Desk(tentative_s=0.2, endpoint_s=0.5)
    desk.hear(SPEECH, 0.96)
    desk.hear(QUIET, 0.32)
    (proposed,) = desk.decodes()

    (ended,) = emitted(desk.track.commit(desk.track.scored_sample, 0.0), SpeechEnded)

    assert (ended.segment, ended.end_s) == (1, 0.96)
    assert desk.decodes() == []
    assert desk.track.commit(desk.track.scored_sample, 0.0) == []
    assert proposed.end_sample <= desk.track.scored_sample


def test_who_speaks_on_after_a_commit_opens_the_next_utterance_there() -> None:
    desk = Desk()
    desk.hear(SPEECH, 0.96)

    desk.track.commit(desk.track.scored_sample, 0.0)
    (started,) = emitted(desk.hear(SPEECH, 0.5), SpeechStarted)

    (first,) = desk.decodes()
    assert desk.track.utterance is not None
    assert (started.segment, first.end_sample) == (2, samples(0.96))
    assert desk.track.utterance.start_sample == samples(0.96)


def test_without_speech_detection_a_commit_alone_ends_an_utterance() -> None:
    finals = Finals(config=a_config(), windows=count(1), clock=AudioClock(), language=SpokenLanguage(None))
    track = Track(
        channel=0,
        options=SegmenterOptions(),
        endpoint=EndpointOptions(),
        lag=PoolLag(),
        finals=finals,
        numbers=SegmentNumbers(last=(0, 0)),
        vad=False,
    )
    (started,) = emitted(track.on_scores([0.0] * 100, 0.0), SpeechStarted)
    assert started.start_s == 0.0

    (ended,) = emitted(track.commit(100 * FRAME_SAMPLES + 7, 0.0), SpeechEnded)

    assert ended.end_s == (100 * FRAME_SAMPLES + 7) / 16_000
    (decode,) = of_type(finals.settle(0.0, workers_alive=True), Decode)
    assert (decode.start_sample, decode.end_sample) == (0, 100 * FRAME_SAMPLES + 7)
    assert track.settled_before == 0


def test_the_end_of_audio_takes_the_half_frame_that_was_never_scored() -> None:
    desk = Desk()
    desk.hear(SPEECH, 0.96)

    (ended,) = emitted(desk.track.flush(samples(0.96) + 100, 0.0), SpeechEnded)

    assert ended.end_s == (samples(0.96) + 100) / 16_000
    assert desk.track.scored_sample == samples(0.96) + 100
    assert desk.decodes()[0].end_sample == samples(0.96) + 100


def test_whole_frames_that_were_not_scored_stay_outside_an_utterance_that_is_cut_off() -> None:
    desk = Desk()
    desk.hear(SPEECH, 0.96)

    desk.track.flush(samples(0.96) + FRAME_SAMPLES, 0.0)

    assert desk.decodes()[0].end_sample == samples(0.96)
    assert desk.track.scored_sample == samples(0.96)


def test_the_end_of_audio_in_silence_ends_nothing() -> None:
    desk = Desk()
    desk.hear(QUIET, 1.0)
    assert desk.track.flush(samples(1.0), 0.0) == []


# --- adaptive endpoint, with silences in frames of 32 ms


def a_pause(desk: Desk, heard: str | None = None, *, heard_to_s: float = 0.96) -> Decode:
    """Speech up to 0.96 s and 0.2 s of silence, after a partial that says `heard`; returns the tentative request."""
    desk.hear(SPEECH, 0.96)
    assert desk.track.utterance is not None
    if heard is not None:
        desk.track.utterance.heard = Heard(heard, "en", samples(heard_to_s))
    desk.hear(QUIET, 0.224)
    (decode,) = desk.decodes()
    return decode


def silence_until_the_end(desk: Desk) -> float:
    """How much more silence ends the utterance."""
    for frames in range(1, 100):
        if emitted(desk.hear(QUIET, 0.032), SpeechEnded):
            return round(0.224 + frames * 0.032, 3)
    raise AssertionError("it does not end")


def test_a_sentence_ends_after_a_shorter_silence() -> None:
    desk = Desk(mode="adaptive", endpoint_s=0.5)
    a_pause(desk, "That is all.")
    assert silence_until_the_end(desk) == 0.32


def test_a_phrase_is_given_a_longer_silence() -> None:
    desk = Desk(mode="adaptive", endpoint_s=0.5)
    a_pause(desk, "That is all that")
    assert silence_until_the_end(desk) == 0.8


def test_as_long_as_nothing_is_known_the_silence_is_the_usual_one() -> None:
    desk = Desk(mode="adaptive", endpoint_s=0.5)
    a_pause(desk)
    assert silence_until_the_end(desk) == 0.512


def test_a_fixed_endpoint_does_not_look_at_the_text() -> None:
    desk = Desk(mode="fixed", endpoint_s=0.5)
    a_pause(desk, "That is all.")
    assert silence_until_the_end(desk) == 0.512


def test_a_partial_that_misses_the_last_words_says_nothing_about_the_end() -> None:
    desk = Desk(mode="adaptive", endpoint_s=0.5)
    a_pause(desk, "That is all.", heard_to_s=0.8)
    assert silence_until_the_end(desk) == 0.512


def test_the_tentative_answer_knows_better_than_the_last_partial_and_becomes_the_final() -> None:
    desk = Desk(mode="adaptive", endpoint_s=0.5)
    decode = a_pause(desk, "That is all.")
    desk.finals.on_result(a_result(decode, "That is all I"), 0.0)
    desk.track.on_heard()

    assert silence_until_the_end(desk) == 0.8

    assert desk.decodes() == [], "nothing is decoded again"


def test_an_answer_after_the_silence_it_asks_for_ends_the_utterance_at_the_next_frame() -> None:
    desk = Desk(mode="adaptive", endpoint_s=0.5)
    decode = a_pause(desk)
    desk.hear(QUIET, 0.192)
    desk.finals.on_result(a_result(decode, "That is all."), 0.0)
    desk.track.on_heard()

    assert len(emitted(desk.hear(QUIET, 0.032), SpeechEnded)) == 1


def test_what_was_heard_of_a_pause_that_was_none_does_not_count_for_the_next() -> None:
    desk = Desk(mode="adaptive", endpoint_s=0.5)
    a_pause(desk, "That is all.")
    desk.hear(SPEECH, 0.32)
    desk.track.on_heard()

    desk.hear(QUIET, 0.224)

    assert silence_until_the_end(desk) == 0.512


def test_an_answer_while_nobody_pauses_changes_nothing() -> None:
    desk = Desk(mode="adaptive")
    desk.track.on_heard()
    assert desk.hear(QUIET, 1.0) == []


def test_a_pause_that_came_and_went_within_one_call_leaves_the_next_utterance_alone() -> None:
    desk = Desk(mode="adaptive", endpoint_s=0.5)
    desk.hear(SPEECH, 0.96)
    assert desk.track.utterance is not None
    desk.track.utterance.heard = Heard("That is all.", "en", samples(0.96))
    frames = [QUIET] * 20 + [SPEECH] * 10 + [QUIET] * 8

    desk.track.on_scores(frames, 0.0)

    assert desk.is_pausing()
    assert silence_until_the_end(desk) == 0.48, "0.032 s of it had already passed"


# --- a pool that lags


def test_a_pool_that_lags_is_asked_for_a_final_only_once_the_pause_is_surer_to_last() -> None:
    desk = Desk(tentative_s=0.2, endpoint_s=0.5)
    desk.lag.on_partial(1.25, 0.0)
    desk.hear(SPEECH, 0.96)

    desk.hear(QUIET, 0.32)
    assert desk.decodes() == []
    desk.hear(QUIET, 0.032)

    assert len(desk.decodes()) == 1


def test_a_pool_that_lags_far_behind_is_asked_for_finals_of_speech_that_ended_only() -> None:
    desk = Desk(tentative_s=0.2, endpoint_s=0.5)
    desk.lag.on_partial(9.0, 0.0)
    desk.hear(SPEECH, 0.96)
    assert desk.hear(QUIET, 0.48) == []
    assert desk.hear(SPEECH, 0.96) == [], "nothing is withdrawn"
    desk.hear(QUIET, 0.512)
    assert len(desk.decodes()) == 1


def test_a_final_is_told_what_was_shown_as_stable() -> None:
    desk = Desk()
    desk.hear(SPEECH, 1.6)
    assert desk.track.utterance is not None
    for _ in range(2):
        desk.track.utterance.stabiliser.on_hypothesis(
            (Word("well", 0.1, 0.5, 0.9), Word("then", 0.5, 0.9, 0.9), Word("go", 0.9, 1.2, 0.9)), language="en"
        )

    desk.hear(QUIET, 0.32)

    (proposed,) = desk.decodes()
    assert (proposed.draft, proposed.draft_end_sample) == ("well then", samples(0.9))


def test_an_utterance_is_quiet_from_the_first_frame_without_speech_to_the_next_with_it() -> None:
    desk = Desk(tentative_s=0.2, endpoint_s=0.5)
    desk.hear(SPEECH, 0.96)
    assert not desk.is_quiet()

    desk.hear(QUIET, 0.032)
    assert desk.is_quiet()
    assert not desk.is_pausing()

    desk.hear(SPEECH, 0.032)
    assert not desk.is_quiet()


def test_audio_of_what_was_said_is_kept_until_nobody_can_go_on_after_it() -> None:
    desk = Desk(tentative_s=0.2, endpoint_s=0.5, pre_roll_s=0.3)
    desk.hear(SPEECH, 1.28)
    desk.hear(QUIET, 0.64)
    (decode,) = desk.decodes()
    desk.finals.on_result(a_result(decode, "well"), 1.0)
    desk.hear(QUIET, 1.0)
    assert desk.finals.keep_from(1, desk.track.scored_sample, desk.track.scored_sample) == decode.start_sample

    desk.hear(QUIET, 1.0)
    assert desk.finals.keep_from(1, desk.track.scored_sample, desk.track.scored_sample) == desk.track.scored_sample
