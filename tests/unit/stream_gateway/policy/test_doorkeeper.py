from dataclasses import dataclass

import pytest

from bus.contract.errors import Overloaded
from stream_gateway.policy.admission import Admission
from stream_gateway.policy.doorkeeper import AdmissionLimits, Doorkeeper, PoolState
from stream_gateway.policy.pool import Pool
from stream_gateway.policy.shortage import ProcessLimits

LATE_S = 9.0


@dataclass
class Door:
    """A gateway's doorkeeper at one moment, with `sessions` inside, the last `new` of which have just come."""

    sessions: int = 0
    new: int = 0
    per_slot: float = 4.0
    max_sessions: int = 100
    now: float = 100.0

    def __post_init__(self) -> None:
        limits = AdmissionLimits(
            max_sessions=self.max_sessions, max_tenant_sessions=90, newcomers_per_slot=self.per_slot
        )
        self.keeper = Doorkeeper(limits, ProcessLimits(max_memory_bytes=1000))
        for number in range(self.sessions):
            came_at = self.now if number >= self.sessions - self.new else 0.0
            self.keeper.inside.on_opened(f"s{number}", "t", came_at)

    def look(self, *pools: PoolState) -> None:
        for second in range(61):  # in which hardly anybody says anything
            at = self.now - 60 + second
            self.keeper.look({f"p{number}": pool for number, pool in enumerate(pools)}, at)

    def ask(self, *, resuming: bool = False, tenant: str = "t") -> Admission:
        return self.keeper.admission(tenant, self.now, resuming=resuming)


def a_pool(*, slots: int = 2, load: float = 0.0, late: bool = False) -> PoolState:
    pool = Pool()
    if late:
        pool.lag.on_final(LATE_S, 0.0)
    return PoolState(pool, slots, load)


def test_an_idle_gateway_admits() -> None:
    door = Door()
    door.look(a_pool())
    assert door.ask().admitted


def test_while_no_pool_is_known_the_start_of_the_session_decides() -> None:
    door = Door(sessions=50, new=50)
    assert door.ask().admitted
    door.keeper.check_pool("p0")


def test_a_crowd_that_comes_at_once_is_let_in_by_and_by() -> None:
    for sessions, new, admitted in ((7, 7, True), (8, 8, False), (8, 0, True), (30, 20, False)):
        door = Door(sessions=sessions, new=new)
        door.look(a_pool(slots=2))
        assert door.ask().admitted is admitted, (sessions, new)


def test_the_more_slots_the_more_may_come_at_once() -> None:
    door = Door(sessions=30, new=30)
    door.look(a_pool(slots=8))
    assert door.ask().admitted


def test_as_many_may_come_as_are_settled_if_the_pool_has_room() -> None:
    door = Door(sessions=50, new=10)
    pool = a_pool(slots=2)
    door.look(pool)
    for second in range(60):  # forty settled sessions ask for hardly anything
        door.keeper.look({"p0": pool}, door.now + second / 60)
    assert pool.pool.load.room > 10
    assert door.ask().admitted


def test_a_pool_whose_slots_are_used_by_finals_takes_nobody() -> None:
    door = Door(sessions=8)
    door.look(a_pool(load=0.8))
    admission = door.ask()
    assert not admission.admitted
    assert admission.retry_after_s >= 10
    assert door.ask(resuming=True).admitted


def test_with_a_setting_any_number_may_come_at_once() -> None:
    door = Door(sessions=80, new=80, per_slot=0)
    door.look(a_pool(load=0.9))
    assert door.ask().admitted
    door.look(a_pool(late=True))
    assert not door.ask().admitted


def test_a_few_sessions_are_never_too_many() -> None:
    for sessions, admitted in ((3, True), (4, False)):
        door = Door(sessions=sessions)
        door.look(a_pool(slots=2, load=1.0, late=True))
        assert door.ask().admitted is admitted


def test_one_pool_with_room_is_enough_to_come_in_and_a_late_one_refuses_after_the_start() -> None:
    door = Door(sessions=20)
    door.look(a_pool(late=True), a_pool(), a_pool(load=1.0))
    assert door.ask().admitted
    door.keeper.check_pool("p1")
    for name in ("p0", "p2"):
        with pytest.raises(Overloaded, match="as many sessions as they can serve"):
            door.keeper.check_pool(name)
    door.look(a_pool(late=True), a_pool(late=True))
    assert not door.ask().admitted


def test_a_lone_pool_is_not_asked_twice_whether_it_has_room() -> None:
    door = Door(sessions=9)
    door.look(a_pool(load=1.0))
    door.keeper.check_pool("p0")


def test_a_gateway_that_drains_is_full_or_lacks_something_wants_no_more_and_one_whose_pools_lag_does() -> None:
    door = Door(sessions=9)
    door.look(a_pool(late=True))
    reasons = [door.keeper.wants_no_more_because()]
    door.keeper.process.look(lag_s=0.0, waited_s=0.0, scored_s=1.0, memory_bytes=2000, now=door.now)
    reasons.append(door.keeper.wants_no_more_because())
    assert not door.ask(resuming=True).admitted
    door.keeper.draining = True
    reasons.append(door.keeper.wants_no_more_because())
    assert reasons == [None, "short of memory", "draining"]
    assert door.ask().reason == "draining"
    full = Door(sessions=9, max_sessions=9)
    assert full.keeper.max_sessions == 9
    assert full.keeper.wants_no_more_because() == "holds as many sessions as it may"
    assert full.ask().reason == "overloaded"
    assert full.keeper.wants_no_more_because(away=1) is None
    assert full.keeper.admission("t", full.now, away=1).admitted
    assert full.ask(resuming=True).admitted


@pytest.mark.parametrize(("sessions", "reason"), [(7, None), (8, "short of time")])
def test_a_busy_process_takes_a_few_sessions_all_the_same(sessions: int, reason: str | None) -> None:
    door = Door(sessions=sessions)
    door.look(a_pool(slots=8))
    door.keeper.process.look(lag_s=9.0, waited_s=0.0, scored_s=1.0, memory_bytes=0, now=door.now)
    assert door.keeper.wants_no_more_because() == reason
    assert door.ask().admitted is (reason is None)


def test_a_tenant_that_has_its_limit_leaves_room_to_others() -> None:
    door = Door(sessions=90)
    assert not door.ask().admitted
    assert door.ask(tenant="other").admitted


def test_those_who_are_refused_together_are_told_different_times() -> None:
    door = Door(sessions=8)
    door.look(a_pool(late=True))
    assert len({door.ask().retry_after_s for _ in range(20)}) > 5
