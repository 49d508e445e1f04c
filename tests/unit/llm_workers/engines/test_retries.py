import pytest

from llm_workers.engines.retries import Retries, is_busy


def test_a_refused_connection_is_tried_a_few_times_with_longer_pauses() -> None:
    retries = Retries()
    pauses = [retries.after_refusal() for _ in range(4)]
    assert pauses == [0.1, 0.3, 1.0, None]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert Retries().after_status(status, None) == 0.1


@pytest.mark.parametrize("status", [400, 401, 404, 422, 501])
def test_what_will_not_pass_is_not(status: int) -> None:
    assert Retries().after_status(status, None) is None


def test_a_server_may_ask_for_a_longer_pause_but_not_for_a_shorter_one() -> None:
    assert Retries().after_status(429, "2") == 2.0
    assert Retries().after_status(429, "0") == 0.1


def test_nobody_waits_as_long_as_some_servers_ask() -> None:
    assert Retries().after_status(429, "60") is None


def test_a_date_instead_of_seconds_is_left_alone() -> None:
    assert Retries().after_status(503, "Wed, 21 Oct 2026 07:28:00 GMT") == 0.1


def test_after_the_last_try_nothing_helps() -> None:
    retries = Retries()
    for _ in range(3):
        retries.after_status(503, None)
    assert retries.after_status(503, "1") is None


@pytest.mark.parametrize(("status", "busy"), [(429, True), (503, True), (500, False), (400, False)])
def test_a_server_that_has_too_much_to_do_is_told_from_one_that_fails(status: int, busy: bool) -> None:
    assert is_busy(status) is busy
