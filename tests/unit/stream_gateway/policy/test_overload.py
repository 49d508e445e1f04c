"""What admission is for, in simulated time: whoever was let in is served in time, whatever crowd waits outside."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.stream_gateway.policy.crowd import Crowd, World

MAX_FINAL_S = 3.0
WORLDS = st.builds(
    World,
    slots=st.integers(1, 4),
    final_s=st.floats(0.3, 0.6),
    partial_s=st.floats(0.05, 0.3),
    session_s=st.sampled_from([30.0, 90.0, 600.0]),
    partials=st.booleans(),
)


def final_p95_s(crowd: Crowd) -> float:
    return sorted(took_s for _, took_s in crowd.finals_s)[int(0.95 * len(crowd.finals_s))]


def twenty_times_too_many(world: World, seed: int, *, within_s: float, until: float) -> Crowd:
    crowd = Crowd(world, seed)
    chance = random.Random(seed)
    for _ in range(int(20 * world.capacity)):
        crowd.come(chance.uniform(1.0, 1.0 + within_s), patience_s=40.0)
    crowd.run(until)
    return crowd


@settings(deadline=None, max_examples=6)
@given(world=WORLDS, seed=st.integers(0, 10**6), within_s=st.sampled_from([0.5, 60.0]))
def test_in_twenty_times_too_large_a_crowd_whoever_is_let_in_is_served_in_time(
    world: World, seed: int, within_s: float
) -> None:
    crowd = twenty_times_too_many(world, seed, within_s=within_s, until=100.0)
    assert final_p95_s(crowd) <= MAX_FINAL_S
    assert crowd.refused
    assert crowd.most_inside >= 0.35 * world.capacity, "the pool is used"
    assert crowd.pool.door.changes <= 10, "it does not open and close all the time"


@settings(deadline=None, max_examples=6)
@given(world=WORLDS, seed=st.integers(0, 10**6))
def test_a_while_after_the_crowd_is_gone_anybody_is_let_in_again(world: World, seed: int) -> None:
    crowd = Crowd(world, seed)
    for _ in range(int(10 * world.capacity)):
        crowd.come(1.0, patience_s=60.0)
    crowd.run(90.0)
    crowd.all_leave()
    crowd.run(115.0)
    before = len(crowd.admitted)
    crowd.come(115.0)
    crowd.run(116.0)
    assert len(crowd.admitted) == before + 1, "within 25 s"


def test_when_half_of_the_workers_die_the_door_closes_and_opens_again_when_they_are_back() -> None:
    crowd = twenty_times_too_many(World(slots=4, session_s=40.0), 1, within_s=1.0, until=60.0)
    crowd.slots = 1
    crowd.run(75.0)
    assert crowd.pool.door.is_closed
    let_in = len(crowd.admitted)
    crowd.slots = 4
    crowd.run(76.0)
    assert len(crowd.admitted) == let_in
    crowd.run(200.0)
    assert (crowd.pool.door.is_closed, crowd.pool.door.changes) in ((False, 2), (False, 4))


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_that_a_pool_can_serve_is_let_in_within_a_minute(seed: int) -> None:
    world = World(slots=8, session_s=600.0)
    crowd = Crowd(world, seed)
    wanted = int(0.6 * world.capacity)
    for _ in range(wanted):
        crowd.come(1.0, patience_s=1000.0)
    crowd.run(61.0)
    assert len(crowd.admitted) == wanted
    assert final_p95_s(crowd) <= MAX_FINAL_S
