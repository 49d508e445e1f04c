"""Model-based: whatever the world does to a session, no word is lost, doubled or shown out of order."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.contract.records import SegmentFailed
from tests.unit.stream_gateway.session.world import Ending, Outage, Trouble, World

CHANCES = st.sampled_from([0.0, 0.1, 0.5, 0.9])
STRETCHES = st.lists(st.tuples(st.floats(0.32, 7.0), st.floats(0.05, 1.5)), min_size=1, max_size=4).map(tuple)
OUTAGES = st.lists(st.builds(Outage, st.floats(0.0, 20.0), st.floats(0.0, 30.0), st.booleans()), max_size=1).map(tuple)
TROUBLES = st.builds(
    Trouble,
    channels=st.lists(STRETCHES, min_size=1, max_size=2).map(tuple),
    seed=st.integers(0, 2**16),
    lasts_s=st.floats(0.0, 60.0),
    lost=CHANCES,
    doubled=CHANCES,
    failing=CHANCES,
    publish_fails=CHANCES,
    store_fails=CHANCES,
    slowest_s=st.sampled_from([0.05, 1.0, 8.0]),
    endpoint_mode=st.sampled_from(["fixed", "adaptive"]),
    workers=st.integers(1, 2),
    bus_outages=OUTAGES,
    worker_outages=OUTAGES,
    ending=st.sampled_from(["audio_end", "gone", "drain", "fault", "too_long"]),
    ends_at=st.floats(0.0, 1.0),
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TROUBLES)
def test_a_session_keeps_its_promises_in_any_trouble(trouble: Trouble) -> None:
    world = World(trouble)
    world.run()
    world.check_outcome()


@pytest.mark.parametrize("ending", ["audio_end", "gone", "drain", "fault", "too_long"])
def test_without_trouble_every_word_is_stored_however_the_session_ends(ending: Ending) -> None:
    world = World(Trouble(channels=(((1.0, 1.0), (7.0, 0.4)), ((2.0, 2.0),)), seed=1, ending=ending))

    world.run()

    world.check_outcome()
    assert len(world.broker.stored) >= 3
    assert not any(isinstance(record, SegmentFailed) for record in world.broker.stored.values())
