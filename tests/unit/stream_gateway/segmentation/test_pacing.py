import pytest

from stream_gateway.segmentation.pacing import Pacing, PacingOptions

OPTIONS = PacingOptions(max_wait_s=0.005, target_tracks=24, memory_s=0.5)


def after_arrivals(per_s: float, seconds: float = 5.0) -> Pacing:
    pacing = Pacing(OPTIONS)
    for number in range(round(per_s * seconds)):
        pacing.on_arrival(1000.0 + number / per_s)
    return pacing


def test_the_first_one_ever_waits_for_nobody() -> None:
    pacing = Pacing()
    pacing.on_arrival(1000.0)
    assert pacing.wait_s == 0.0


@pytest.mark.parametrize("per_s", [10, 100, 180])
def test_where_few_speak_nobody_waits(per_s: float) -> None:
    assert after_arrivals(per_s).wait_s == 0.0


@pytest.mark.parametrize("per_s", [300, 2500])
def test_where_many_speak_a_batch_may_gather(per_s: float) -> None:
    assert after_arrivals(per_s).wait_s == 0.005


def test_nobody_waits_longer_than_a_good_batch_takes_to_come_together() -> None:
    assert after_arrivals(12_000).wait_s == pytest.approx(24 / 12_000, rel=0.01)


def test_a_crowd_is_forgotten() -> None:
    pacing = after_arrivals(2500)
    pacing.on_arrival(1000.0 + 5.0 + 3.0)
    assert pacing.wait_s == 0.0


def test_a_clock_that_stands_still_does_no_harm() -> None:
    pacing = Pacing(OPTIONS)
    for _ in range(3):
        pacing.on_arrival(1000.0)
    assert pacing.wait_s == 0.0
