import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from stream_gateway.segmentation.scorer import FrameScorer
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES, Segmenter, UtteranceEnded
from stream_gateway.segmentation.speech_model import SileroModel

pytestmark = pytest.mark.weights
SAMPLE = Path(__file__).parents[4] / "samples" / "austen.flac"


@pytest.fixture(scope="module")
def speech() -> NDArray[np.int16]:
    samples, rate_hz = soundfile.read(SAMPLE, dtype="int16")
    assert rate_hz == 16_000
    return np.asarray(samples[: 10 * rate_hz])


def test_a_batch_gives_each_track_what_it_gets_alone(silero_path: Path) -> None:
    model, random = SileroModel(silero_path), np.random.default_rng(1)
    frames = random.uniform(-0.3, 0.3, (7, 576)).astype(np.float32)
    states = random.uniform(-1, 1, (2, 7, 128)).astype(np.float32)
    scores, next_states = model.run(frames, [1] * 7, states)
    for track in range(7):
        score, next_state = model.run(frames[track : track + 1], [1], states[:, track : track + 1])
        assert score[0] == pytest.approx(scores[track], abs=1e-5)
        assert np.allclose(next_state[:, 0], next_states[:, track], atol=1e-5)


def test_several_frames_at_once_score_as_one_after_the_other(silero_path: Path) -> None:
    model, random = SileroModel(silero_path), np.random.default_rng(1)
    lengths = [3, 1, 4]
    frames = random.uniform(-0.3, 0.3, (sum(lengths), 576)).astype(np.float32)
    states = random.uniform(-1, 1, (2, len(lengths), 128)).astype(np.float32)
    scores, next_states = model.run(frames, lengths, states)
    row = 0
    for track, length in enumerate(lengths):
        state = states[:, track : track + 1]
        for _ in range(length):
            score, state = model.run(frames[row : row + 1], [1], state)
            assert score[0] == pytest.approx(scores[row], abs=1e-5)
            row += 1
        assert np.allclose(state[:, 0], next_states[:, track], atol=1e-5)


async def test_real_speech_scores_high_and_fifty_tracks_score_as_one_does(
    silero_path: Path, speech: NDArray[np.int16]
) -> None:
    scorer = FrameScorer(silero_path)
    await scorer.start()
    try:
        alone = await scorer.open_track().score(speech)
        together = await asyncio.gather(*[scorer.open_track().score(speech[: 64 * FRAME_SAMPLES]) for _ in range(50)])
    finally:
        await scorer.aclose()
    assert len(alone) == len(speech) // FRAME_SAMPLES
    assert max(alone) > 0.95
    for scores in together:
        assert scores == pytest.approx(alone[:64], abs=1e-4)


async def test_real_speech_becomes_utterances_and_noise_and_silence_do_not(
    silero_path: Path, speech: NDArray[np.int16]
) -> None:
    noise = np.random.default_rng(2).normal(0, 300, 80_000).astype(np.int16)
    scorer = FrameScorer(silero_path)
    await scorer.start()
    try:
        ends = {}
        for name, audio in {"speech": speech, "noise": noise, "silence": np.zeros_like(noise)}.items():
            segmenter = Segmenter()
            events = segmenter.on_scores(await scorer.open_track().score(audio)) + segmenter.flush(len(audio))
            ends[name] = [event for event in events if isinstance(event, UtteranceEnded)]
    finally:
        await scorer.aclose()
    assert sum(end.end_sample - end.start_sample for end in ends["speech"]) > len(speech) / 2
    assert not ends["noise"]
    assert not ends["silence"]


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(Exception, match=r"model\.onnx"):
        SileroModel(path)
