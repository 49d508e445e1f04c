import pytest

from clients.sleep_watch import SLEPT_S, SleepWatch


def watch() -> SleepWatch:
    return SleepWatch(monotonic_s=100.0, wall_s=1e9)


def test_a_look_that_comes_a_little_late_has_missed_nothing() -> None:
    assert not watch().has_slept(monotonic_s=101.0 + SLEPT_S, wall_s=1e9 + 1.0 + SLEPT_S, due_after_s=1.0)


@pytest.mark.parametrize(("monotonic_s", "wall_s"), [(1.0, 7.0), (7.0, 7.0), (7.0, -3600.0)])
def test_a_jump_of_either_clock_is_a_sleep(monotonic_s: float, wall_s: float) -> None:
    slept = watch()
    assert slept.has_slept(monotonic_s=100.0 + monotonic_s, wall_s=1e9 + wall_s, due_after_s=1.0)
    assert not slept.has_slept(monotonic_s=101.0 + monotonic_s, wall_s=1e9 + wall_s + 1.0, due_after_s=1.0)


def test_a_clock_that_was_set_back_is_none() -> None:
    assert not watch().has_slept(monotonic_s=101.0, wall_s=1e9 - 3600.0, due_after_s=1.0)
