"""The client takes back what it did not commit, with speech detection and without."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_gateway.segmentation.manual import ManualSegmenter
from stream_gateway.segmentation.segmenter import (
    FRAME_SAMPLES,
    Segmenter,
    SegmenterOptions,
    UtteranceCleared,
    UtteranceEnded,
    UtteranceStarted,
)

SPEECH, SILENCE = 0.9, 0.1
FRAME_S = FRAME_SAMPLES / 16_000
OPTIONS = SegmenterOptions(start_s=2 * FRAME_S, pre_roll_s=3 * FRAME_S)


def test_an_open_utterance_is_gone_and_the_next_one_does_not_reach_into_it() -> None:
    segmenter = Segmenter(OPTIONS)
    segmenter.on_scores([SPEECH] * 20)
    assert segmenter.clear(20 * FRAME_SAMPLES) == [UtteranceCleared()]
    assert segmenter.quiet_before == 20 * FRAME_SAMPLES
    start = 20 * FRAME_SAMPLES
    assert segmenter.on_scores([SPEECH] * 2) == [UtteranceStarted(start, start)]


def test_the_pre_roll_is_taken_back_too() -> None:
    segmenter = Segmenter(OPTIONS)
    segmenter.on_scores([SILENCE] * 20)
    assert segmenter.clear(20 * FRAME_SAMPLES) == []
    assert segmenter.on_scores([SILENCE, SPEECH, SPEECH]) == [UtteranceStarted(20 * FRAME_SAMPLES, 21 * FRAME_SAMPLES)]


def test_a_beginning_that_was_no_utterance_yet_is_taken_back() -> None:
    segmenter = Segmenter(OPTIONS)
    segmenter.on_scores([SPEECH])
    assert segmenter.clear(FRAME_SAMPLES) == []
    assert segmenter.on_scores([SPEECH]) == []


@settings(deadline=None)
@given(st.lists(st.sampled_from([SPEECH, SILENCE]), max_size=200), st.sets(st.integers(0, 199), max_size=4))
def test_whenever_audio_is_taken_back_what_nobody_wants_never_comes_back(scores: list[float], clears: set[int]) -> None:
    segmenter = Segmenter(OPTIONS)
    reached = 0
    for frame, score in enumerate(scores):
        for event in segmenter.on_scores([score]):
            match event:
                case UtteranceStarted(start_sample):
                    assert start_sample >= reached
                case UtteranceEnded(end_sample=end_sample):
                    reached = end_sample
        before = segmenter.quiet_before
        if frame in clears:
            segmenter.clear((frame + 1) * FRAME_SAMPLES)
            reached = (frame + 1) * FRAME_SAMPLES
        assert segmenter.quiet_before >= before


def test_without_detection_everything_before_is_taken_back() -> None:
    segmenter = ManualSegmenter()
    assert segmenter.clear(0) == []
    segmenter.on_scores([0.1] * 10)
    end = 10 * FRAME_SAMPLES + 100
    assert segmenter.clear(end) == [UtteranceCleared()]
    assert segmenter.quiet_before == end
    assert segmenter.commit(end) == []
    assert segmenter.on_scores([0.1]) == [UtteranceStarted(end, end)]
