import numpy as np
import pytest

from stream_gateway.segmentation.levels import LevelTrack


async def test_each_complete_frame_has_its_loudness_and_a_remainder_is_kept() -> None:
    track = LevelTrack()
    half_scale = np.full(512, 16_384, dtype=np.int16)
    assert await track.score(half_scale[:500]) == []
    assert await track.score(np.concatenate([half_scale[:12], np.zeros(512, dtype=np.int16), half_scale[:7]])) == [
        pytest.approx(0.5),
        0.0,
    ]
    assert await track.score(half_scale[:505]) == [pytest.approx(0.5)]
    track.close()
