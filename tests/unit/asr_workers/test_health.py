import pytest

from asr_workers.health import BROKEN_AFTER, EngineBroken, Health


def test_an_engine_is_broken_when_nothing_succeeds_any_more() -> None:
    health = Health()
    for _ in range(BROKEN_AFTER - 1):
        health.on_failure()
    with pytest.raises(EngineBroken, match=f"{BROKEN_AFTER} windows in a row"):
        health.on_failure()


def test_a_success_between_failures_makes_them_those_of_windows() -> None:
    health = Health()
    for _ in range(3 * BROKEN_AFTER):
        health.on_failure()
        health.on_success()
