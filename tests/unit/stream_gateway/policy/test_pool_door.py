from collections.abc import Callable

import pytest

from stream_gateway.policy.cadence import PoolLag
from stream_gateway.policy.pool_door import DoorOptions, PoolDoor

OPTIONS = DoorOptions(max_lag_s=3.0, close_share=0.5, open_share=0.2, calm_s=5.0, ramp_s=30.0, first_share=0.1)


def a_lag(wait_s: float, now: float = 0.0) -> PoolLag:
    lag = PoolLag()
    lag.on_final(wait_s, now)
    return lag


def closed_at(now: float) -> PoolDoor:
    door = PoolDoor(OPTIONS)
    door.look(a_lag(1.6), now)
    assert door.is_closed
    return door


def test_a_door_is_wide_open_while_finals_hardly_wait() -> None:
    door = PoolDoor(OPTIONS)
    door.look(a_lag(1.5), 0.0)
    assert not door.is_closed
    assert (door.width(0.0), door.changes) == (1.0, 0)


def test_it_closes_where_finals_wait_for_half_of_what_they_may() -> None:
    door = closed_at(0.0)
    assert (door.width(0.0), door.changes) == (0.0, 1)


def test_it_opens_only_after_finals_have_hardly_waited_for_a_while() -> None:
    door = closed_at(0.0)
    door.look(a_lag(0.7), 10.0)
    door.look(a_lag(0.5), 20.0)
    door.look(a_lag(0.5), 24.9)
    assert door.is_closed
    door.look(a_lag(0.7), 24.95)
    door.look(a_lag(0.5), 25.0)
    door.look(a_lag(0.5), 29.9)
    assert door.is_closed
    door.look(a_lag(0.5), 30.0)
    assert (door.is_closed, door.changes) == (False, 2)


def test_it_opens_by_and_by() -> None:
    door = closed_at(0.0)
    door.look(a_lag(0.0), 1.0)
    door.look(a_lag(0.0), 6.0)
    assert [door.width(now) for now in (6.0, 21.0, 36.0, 1000.0)] == pytest.approx([0.1, 0.55, 1.0, 1.0])


def test_it_looks_the_same_however_often_it_looks() -> None:
    door = closed_at(0.0)
    for quarter in range(100):
        door.look(a_lag(1.0), quarter / 4)
    assert door.is_closed
    assert door.changes == 1


@pytest.mark.parametrize(
    "broken",
    [
        lambda: DoorOptions(open_share=0.6),
        lambda: DoorOptions(open_share=0.0),
        lambda: DoorOptions(close_share=1.0),
        lambda: DoorOptions(first_share=0.0),
        lambda: DoorOptions(max_lag_s=0.0),
        lambda: DoorOptions(calm_s=-1.0),
        lambda: DoorOptions(ramp_s=0.0),
    ],
)
def test_options_that_contradict_one_another_are_refused(broken: Callable[[], DoorOptions]) -> None:
    with pytest.raises(ValueError, match="must be|needs"):
        broken()
