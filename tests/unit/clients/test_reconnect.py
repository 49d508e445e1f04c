import pytest

from clients.reconnect import GIVE_UP_S, LONGEST_WAIT_S, STEADY_AFTER_S, ReconnectPolicy, Try

FOREVER = 1e9


def lost_policy(*urls: str, now: float = 0.0, good_until: float = FOREVER, current: int = 0) -> ReconnectPolicy:
    policy = ReconnectPolicy(urls or ("a",), current=current)
    policy.on_lost(now, good_until=good_until, results=0)
    return policy


def waits(policy: ReconnectPolicy, count: int, *, now: float = 0.0, random: float = 1.0) -> list[float]:
    tries = [policy.next_try(now, random) for _ in range(count)]
    return [attempt.wait_s for attempt in tries if attempt is not None]


def test_the_bound_of_the_wait_doubles_up_to_two_seconds() -> None:
    assert waits(lost_policy(), 8) == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_the_wait_is_drawn_from_all_below_the_bound() -> None:
    assert waits(lost_policy(), 3, random=0.0) == [0.0, 0.0, 0.0]
    assert waits(lost_policy(), 3, random=0.5) == [0.025, 0.05, 0.1]


def test_each_try_goes_to_the_next_address_in_a_circle() -> None:
    policy = lost_policy("a", "b", "c", current=1)
    urls = [attempt.url for _ in range(4) if (attempt := policy.next_try(0.0, 0.0)) is not None]
    assert urls == ["c", "a", "b", "c"]


def test_a_gateway_that_goes_away_is_left_at_once() -> None:
    policy = ReconnectPolicy(("a",))
    policy.on_leaving(5.0, good_until=FOREVER)
    assert waits(policy, 3, now=5.0) == [0.0, 0.05, 0.1]


def test_it_gives_up_after_a_while() -> None:
    policy = lost_policy(now=100.0)
    assert policy.next_try(100.0 + GIVE_UP_S - 0.01, 0.0) is not None
    assert policy.next_try(100.0 + GIVE_UP_S, 0.0) is None


def test_it_gives_up_once_the_token_has_expired() -> None:
    policy = lost_policy(good_until=10.0)
    assert policy.next_try(9.99, 0.0) is not None
    assert policy.next_try(10.0, 0.0) is None


def test_no_wait_goes_beyond_the_end() -> None:
    policy = lost_policy(good_until=10.0)
    waits(policy, 10)
    attempt = policy.next_try(9.5, 1.0)
    assert attempt == Try("a", 0.5)


def test_a_session_that_is_lost_again_at_once_and_got_nowhere_goes_on_waiting_where_it_was() -> None:
    policy = lost_policy()
    waits(policy, 10)
    policy.on_resumed(200.0, results=0)
    policy.on_lost(200.0 + STEADY_AFTER_S - 1, good_until=FOREVER, results=0)
    assert waits(policy, 1, now=210.0) == [LONGEST_WAIT_S]
    assert policy.next_try(GIVE_UP_S, 0.0) is None


@pytest.mark.parametrize(("after_s", "results"), [(STEADY_AFTER_S, 0), (0.1, 1)])
def test_a_session_that_held_or_got_on_begins_anew(after_s: float, results: int) -> None:
    policy = lost_policy()
    waits(policy, 10)
    policy.on_resumed(200.0, results=0)
    policy.on_lost(200.0 + after_s, good_until=FOREVER, results=results)
    assert waits(policy, 1, now=210.0) == [0.05]
    assert policy.next_try(GIVE_UP_S + 1, 0.0) is not None
