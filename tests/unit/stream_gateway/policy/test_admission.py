import pytest

from stream_gateway.policy.admission import GatewayView, admit, with_headroom


def a_view(*, sessions: int = 0, max_sessions: int = 10, draining: bool = False, resuming: bool = False) -> GatewayView:
    return GatewayView(sessions=sessions, max_sessions=max_sessions, draining=draining, resuming=resuming)


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
    admission = admit(a_view(sessions=sessions, draining=True))
    assert not admission.admitted
    assert admission.reason == "draining"
    assert admission.retry_after_s > 0


def test_who_goes_on_with_a_session_finds_room_above_the_limit_and_not_without_end() -> None:
    assert (with_headroom(10), with_headroom(500)) == (18, 550)
    assert admit(a_view(sessions=17, resuming=True)).admitted
    assert not admit(a_view(sessions=18, resuming=True)).admitted
    assert not admit(a_view(draining=True, resuming=True)).admitted
