import pytest

from stream_gateway.policy.pool_load import LoadOptions, PoolLoad


def a_load(*, share: float = 0.0, slots: int = 4, sessions: int = 0) -> PoolLoad:
    load = PoolLoad(LoadOptions(slack=0.35, sessions_per_slot=4.0, memory_s=30.0, prior_session_s=20.0))
    load.look(share=share, slots=slots, sessions=sessions, newcomers=0, now=0.0)
    return load


def test_a_pool_that_nobody_knows_has_no_room() -> None:
    assert PoolLoad().room == 0


def test_an_idle_pool_has_room_for_what_its_slots_are_taken_to_serve() -> None:
    assert a_load(slots=1).room == pytest.approx(4)
    assert a_load(slots=4).room == pytest.approx(16)


def test_what_finals_use_leaves_that_much_less_room() -> None:
    assert a_load(share=0.4).room == pytest.approx(16 * (3.3 - 1.6) / 3.3)


def test_some_of_the_slots_stay_free_and_of_many_a_smaller_part() -> None:
    assert a_load(share=0.83).room == 0
    assert a_load(share=0.83, slots=16).room > 0
    assert a_load(share=1.0, slots=16).room == 0


def test_what_sessions_ask_for_is_learnt_from_their_finals() -> None:
    load = a_load(sessions=10)
    before = load.room
    for second in range(1, 61):
        load.on_final(0.5)  # of ten sessions: each uses a twentieth of a slot
        load.look(share=0.125, slots=4, sessions=10, newcomers=0, now=float(second))
    assert load.slots_per_session == pytest.approx(0.05, rel=0.3)
    assert load.room > 2 * before


def test_sessions_that_ask_for_much_leave_room_for_few() -> None:
    load = a_load(sessions=2)
    for second in range(1, 61):
        load.on_final(2.0)
        load.look(share=0.5, slots=4, sessions=2, newcomers=0, now=float(second))
    assert load.room < 3


def test_what_was_measured_long_ago_gives_way_to_the_guess() -> None:
    load = a_load(sessions=10)
    guess = load.slots_per_session
    for second in range(1, 31):
        load.look(share=0.0, slots=4, sessions=10, newcomers=0, now=float(second))
    assert load.slots_per_session < guess / 2
    load.look(share=0.0, slots=4, sessions=0, newcomers=0, now=30.0)
    load.look(share=0.0, slots=4, sessions=0, newcomers=0, now=400.0)
    assert load.slots_per_session == pytest.approx(guess, rel=0.01)


@pytest.mark.parametrize(
    "changes", [{"slack": 1.0}, {"slack": 0.0}, {"sessions_per_slot": 0.0}, {"memory_s": 0.0}, {"prior_session_s": 0.0}]
)
def test_options_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="slack"):
        LoadOptions(**changes)
