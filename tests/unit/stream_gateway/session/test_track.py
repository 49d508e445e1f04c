from itertools import count

from bus.contract.work import Failure
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES, SegmenterOptions
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.effects import Decode, Dropped, Effect
from stream_gateway.session.events import SpeechEnded, SpeechStarted
from stream_gateway.session.finals import Finals
from stream_gateway.session.languages import SpokenLanguage
from stream_gateway.session.track import Track
from tests.unit.stream_gateway.session.builders import QUIET, SPEECH, a_config, a_result, emitted, of_type, samples


class Desk:
    """A track with its finals; scores come in one call per stretch."""

    def __init__(self, **options: float) -> None:
        self.finals = Finals(config=a_config(), windows=count(1), clock=AudioClock(), language=SpokenLanguage(None))
        self.track = Track(
            channel=1, options=SegmenterOptions(**options), finals=self.finals, next_segment=count(1).__next__
        )

    def hear(self, score: float, seconds: float) -> list[Effect]:
        return self.track.on_scores([score] * (samples(seconds) // FRAME_SAMPLES), 0.0)

    def is_pausing(self) -> bool:
        assert self.track.utterance is not None
        return self.track.utterance.pausing

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

    assert desk.hear(SPEECH, 0.2) == [Dropped("tentative", "speech_resumed")]

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
    track = Track(channel=0, options=SegmenterOptions(), finals=finals, next_segment=count(1).__next__, vad=False)
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
