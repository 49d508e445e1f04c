from typing import Any

import pytest

from stream_gateway.policy.admission import GatewayView, admit, with_headroom


def a_view(*, sessions: int = 0, max_sessions: int = 10, draining: bool = False, **more: Any) -> GatewayView:
    return GatewayView(sessions=sessions, max_sessions=max_sessions, draining=draining, **more)


def test_a_gateway_with_room_admits_without_a_reason() -> None:
    admission = admit(a_view(sessions=9))
    assert admission.admitted
    assert (admission.reason, admission.message, admission.retry_after_s) == ("", "", 0)


@pytest.mark.parametrize("sessions", [10, 11])
def test_a_full_gateway_refuses_and_says_when_to_try_again(sessions: int) -> None:
    admission = admit(a_view(sessions=sessions))
    assert not admission.admitted
    assert admission.reason == "overloaded"
    assert "10 sessions" in admission.message
    assert admission.retry_after_s > 0


@pytest.mark.parametrize("sessions", [0, 10])
def test_a_draining_gateway_refuses_whether_it_has_room_or_not(sessions: int) -> None:
    admission = admit(a_view(sessions=sessions, draining=True, resuming=True))
    assert not admission.admitted
    assert admission.reason == "draining"
    assert admission.retry_after_s > 0


def test_a_tenant_may_have_its_limit_and_others_find_room_beside_it() -> None:
    assert admit(a_view(tenant_sessions=2, max_tenant_sessions=3)).admitted
    admission = admit(a_view(tenant_sessions=3, max_tenant_sessions=3))
    assert admission.reason == "overloaded"
    assert "your tenant holds its limit of 3 sessions" in admission.message
    assert admit(a_view(tenant_sessions=3, max_tenant_sessions=None)).admitted


@pytest.mark.parametrize(("limit", "room"), [(1, 9), (10, 18), (80, 88), (500, 550)])
def test_whoever_resumes_finds_room_above_a_limit(limit: int, room: int) -> None:
    assert with_headroom(limit) == room
    assert admit(a_view(sessions=room - 1, max_sessions=limit, resuming=True)).admitted
    assert not admit(a_view(sessions=room, max_sessions=limit, resuming=True)).admitted
    assert admit(a_view(tenant_sessions=room - 1, max_tenant_sessions=limit, resuming=True)).admitted
    assert not admit(a_view(tenant_sessions=room, max_tenant_sessions=limit, resuming=True)).admitted


def test_while_the_pools_are_behind_nobody_new_comes_in_and_whoever_resumes_does() -> None:
    admission = admit(a_view(pools_closed=True, retry_s=10.0))
    assert (admission.reason, admission.retry_after_s) == ("overloaded", 10)
    assert "behind" in admission.message
    assert admit(a_view(pools_closed=True, resuming=True)).admitted


def test_newcomers_are_let_in_by_and_by() -> None:
    assert admit(a_view(newcomers=3, max_newcomers=4)).admitted
    admission = admit(a_view(newcomers=4, max_newcomers=4, retry_s=2.5))
    assert (admission.reason, admission.retry_after_s) == ("overloaded", 3)
    assert not admit(a_view(newcomers=0, max_newcomers=0)).admitted
    assert admit(a_view(newcomers=4, max_newcomers=4, resuming=True)).admitted
    assert admit(a_view(newcomers=400, max_newcomers=None)).admitted


def test_a_process_without_memory_takes_nobody_and_one_without_time_only_who_resumes() -> None:
    for lack, resuming, admitted in (
        ("memory", False, False),
        ("memory", True, False),
        ("time", False, False),
        ("time", True, True),
    ):
        assert admit(a_view(lack=lack, resuming=resuming)).admitted is admitted
    assert "memory" in admit(a_view(lack="memory")).message
    assert "busy" in admit(a_view(lack="time")).message


def test_who_is_refused_together_does_not_come_back_together() -> None:
    later = [admit(a_view(pools_closed=True, retry_s=10.0, spread=spread)).retry_after_s for spread in (0, 0.5, 0.99)]
    assert later == [10, 15, 20]


def test_nobody_is_told_to_come_back_at_once() -> None:
    assert admit(a_view(max_newcomers=0, retry_s=0.0)).retry_after_s == 1
