"""When finals that an answer waits for are decoded in a hurry."""

import pytest

from stream_gateway.policy.haste import Haste, HasteOptions, HurryMode


def test_nobody_hurries_before_a_final_was_measured() -> None:
    assert not Haste().pays(awaited=True, watched=True)


def test_finals_are_hurried_where_they_take_longer_than_the_silence_before_them() -> None:
    slow, fast = Haste(), Haste()
    slow.on_final(0.6, 0.0, hurried=False)
    fast.on_final(0.1, 0.0, hurried=False)
    assert (slow.pays(awaited=True, watched=True), fast.pays(awaited=True, watched=True)) == (True, False)


def test_a_slow_pool_stays_known_as_slow_while_all_finals_are_hurried() -> None:
    haste = Haste()
    haste.on_final(0.6, 0.0, hurried=False)
    for second in range(1, 600):
        haste.on_final(0.4, float(second), hurried=True)
    assert haste.pays(awaited=True, watched=True)


def test_a_pool_that_became_fast_is_noticed_by_its_hurried_finals() -> None:
    haste = Haste()
    haste.on_final(0.6, 0.0, hurried=False)
    for second in range(1, 120):
        haste.on_final(0.05, float(second), hurried=True)
    assert not haste.pays(awaited=True, watched=True)


def test_hurried_finals_alone_tell_nothing_of_a_pool() -> None:
    haste = Haste()
    haste.on_final(2.0, 0.0, hurried=True)
    assert not haste.pays(awaited=True, watched=True)


@pytest.mark.parametrize(
    ("mode", "answered", "watched"), [("never", False, False), ("answers", True, False), ("always", True, True)]
)
def test_who_hurries_is_a_choice(mode: HurryMode, answered: bool, watched: bool) -> None:
    haste = Haste(HasteOptions(mode=mode))
    haste.on_final(0.6, 0.0, hurried=False)
    assert haste.pays(awaited=True, watched=False) is answered
    assert haste.pays(awaited=False, watched=True) is watched
    assert not haste.pays(awaited=False, watched=False)
