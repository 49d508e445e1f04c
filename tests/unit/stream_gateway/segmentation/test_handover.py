"""One way to find utterances goes on where another left off: no sample of an utterance is lost or in two of them."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.segmentation.manual import ManualSegmenter
from stream_gateway.segmentation.segmenter import (
    FRAME_SAMPLES,
    Segmenter,
    SegmenterOptions,
    SegmentEvent,
    UtteranceEnded,
    UtteranceStarted,
)

SPEECH, SILENCE = 0.9, 0.1
FRAME_S = FRAME_SAMPLES / 16_000
OPTIONS = SegmenterOptions(
    start_s=2 * FRAME_S, pre_roll_s=3 * FRAME_S, tentative_s=4 * FRAME_S, endpoint_s=6 * FRAME_S, post_roll_s=0
)
Either = Segmenter | ManualSegmenter


def after(left: Either, kind: type[Segmenter] | type[ManualSegmenter], options: SegmenterOptions = OPTIONS) -> Either:
    taken = kind(options)
    taken.take_over(left.hand_over())
    return taken


def hear(segmenter: Either, score: float, frames: int) -> list[SegmentEvent]:
    return [event for _ in range(frames) for event in segmenter.on_scores([score])]


def ends(events: Sequence[SegmentEvent]) -> list[UtteranceEnded]:
    return [event for event in events if isinstance(event, UtteranceEnded)]


def test_what_is_being_said_goes_on_until_the_client_ends_it() -> None:
    segmenter = Segmenter(OPTIONS)
    hear(segmenter, SPEECH, 10)
    manual = after(segmenter, ManualSegmenter)
    assert hear(manual, SILENCE, 50) == []
    assert manual.commit(60 * FRAME_SAMPLES) == [UtteranceEnded(0, 60 * FRAME_SAMPLES, 60 * FRAME_SAMPLES, "commit")]


def test_what_the_client_did_not_end_is_heard_again_from_its_first_whole_frame() -> None:
    manual = ManualSegmenter(OPTIONS)
    hear(manual, SILENCE, 10)
    manual.commit(10 * FRAME_SAMPLES + 100)
    assert manual.hand_over().now_sample == 10 * FRAME_SAMPLES  # where only half a frame came since
    hear(manual, SILENCE, 9)
    left = manual.hand_over()
    assert (left.now_sample, left.free_from_sample, left.is_open) == (
        11 * FRAME_SAMPLES,
        10 * FRAME_SAMPLES + 100,
        False,
    )
    (started,) = hear(after(manual, Segmenter), SPEECH, 2)
    assert started == UtteranceStarted(10 * FRAME_SAMPLES + 100, 11 * FRAME_SAMPLES)
    assert hear(after(manual, Segmenter), SILENCE, 20) == []


def test_in_silence_the_next_utterance_reaches_back_as_far_as_it_would_have() -> None:
    segmenter = Segmenter(OPTIONS)
    hear(segmenter, SILENCE, 10)
    assert hear(after(segmenter, ManualSegmenter), SILENCE, 1) == [
        UtteranceStarted(7 * FRAME_SAMPLES, 7 * FRAME_SAMPLES)
    ]
    hear(segmenter, SPEECH, 1)
    (started,) = hear(after(segmenter, Segmenter), SPEECH, 2)
    assert started == UtteranceStarted(8 * FRAME_SAMPLES, 11 * FRAME_SAMPLES)


def test_a_silence_under_way_counts_by_the_new_rules() -> None:
    segmenter = Segmenter(OPTIONS)
    hear(segmenter, SPEECH, 10)
    hear(segmenter, SILENCE, 3)
    patient = after(segmenter, Segmenter, SegmenterOptions(endpoint_s=1.0))
    assert ends(hear(patient, SILENCE, 28)) == []
    (end,) = ends(hear(patient, SILENCE, 1))
    assert end.speech_end_sample == 10 * FRAME_SAMPLES


@given(
    stretches=st.lists(
        st.tuples(st.booleans(), st.integers(0, 30), st.sampled_from([SPEECH, SILENCE])), min_size=1, max_size=12
    )
)
def test_utterances_stay_in_order_and_none_lies_before_what_was_settled(
    stretches: list[tuple[bool, int, float]],
) -> None:
    segmenter: Either = Segmenter(OPTIONS)
    heard: list[float] = []
    settled, ended_at = 0, 0
    open_from: int | None = None

    def see(events: Sequence[SegmentEvent]) -> None:
        nonlocal open_from, ended_at
        for event in events:
            if isinstance(event, UtteranceStarted):
                assert open_from is None and event.start_sample >= max(settled, ended_at)
                open_from = event.start_sample
            elif isinstance(event, UtteranceEnded):
                assert event.start_sample == open_from and event.end_sample <= len(heard) * FRAME_SAMPLES
                open_from, ended_at = None, event.end_sample

    for detects, length, score in stretches:
        left = segmenter.hand_over()
        segmenter = after(segmenter, Segmenter if detects else ManualSegmenter)
        assert segmenter.quiet_before >= settled
        open_from = open_from if left.is_open else None
        heard += [score] * length
        see(segmenter.on_scores(heard[left.now_sample // FRAME_SAMPLES :]))
        settled = segmenter.quiet_before
    see(segmenter.flush())
    assert open_from is None, "nothing that was open is left so"
