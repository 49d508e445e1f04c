from itertools import count

import pytest

from stream_gateway.policy.cadence import PoolLag
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES, SegmenterOptions
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.events import SpeechStarted
from stream_gateway.session.finals import Finals
from stream_gateway.session.languages import SpokenLanguage
from stream_gateway.session.outset import ChannelOutset, Outset
from stream_gateway.session.segment_numbers import SegmentNumbers
from stream_gateway.session.track import Track
from tests.unit.stream_gateway.session.builders import QUIET, SPEECH, a_config, emitted, samples


def a_resumed_track(*, vad: bool = True) -> Track:
    """Audio comes from 1 s on; up to 3 s it is accounted for."""
    outset = Outset(begin_sample=samples(1.0), channels=(ChannelOutset(4, samples(3.0)),))
    finals = Finals(config=a_config(), windows=count(1), clock=AudioClock(), language=SpokenLanguage(None))
    return Track(
        channel=0,
        options=SegmenterOptions(),
        endpoint=EndpointOptions(),
        lag=PoolLag(),
        finals=finals,
        numbers=SegmentNumbers(last=(4,)),
        outset=outset,
        vad=vad,
    )


def test_speech_that_is_accounted_for_opens_no_utterance() -> None:
    track = a_resumed_track()
    frames = samples(1.0) // FRAME_SAMPLES
    effects = track.on_scores([SPEECH] * frames + [QUIET] * frames, 0.0)
    assert effects == [] and track.utterance is None
    assert track.settled_before == track.scored_sample


@pytest.mark.parametrize("vad", [True, False])
def test_who_speaks_on_is_heard_from_where_the_record_ends(vad: bool) -> None:
    track = a_resumed_track(vad=vad)
    (started,) = emitted(track.on_scores([SPEECH] * (samples(2.5) // FRAME_SAMPLES), 0.0), SpeechStarted)
    assert started.segment == 5
    assert track.utterance is not None and track.utterance.start_sample == samples(3.0)
    assert samples(3.0) <= track.utterance.speech_start_sample < samples(3.0) + FRAME_SAMPLES
