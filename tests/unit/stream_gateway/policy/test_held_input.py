from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.policy.held_input import HeldInput, Strangers


def test_what_is_held_is_summed_up_over_all() -> None:
    held = HeldInput[str](max_bytes=100)
    assert held.hold("a", 60)
    assert held.hold("b", 40)
    assert held.total_bytes == 100
    held.release("a")
    held.release("a")
    assert held.total_bytes == 40


def test_above_the_limit_whoever_holds_more_than_an_even_share_goes() -> None:
    held = HeldInput[str](max_bytes=100)
    assert held.hold("a", 90)
    assert held.hold("b", 20)
    assert not held.hold("a", 91)
    held.release("a")
    assert held.hold("b", 91)


def test_whoever_holds_less_than_before_stays() -> None:
    held = HeldInput[str](max_bytes=100)
    assert held.hold("a", 90)
    assert not held.hold("b", 60)
    assert held.hold("a", 89)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60)), max_size=200))
def test_the_sum_stays_below_twice_the_limit_and_small_ones_are_never_cut(news: list[tuple[int, int]]) -> None:
    held, now = HeldInput[int](max_bytes=100), dict[int, int]()
    for who, adds in news:
        now[who] = now.get(who, 0) + adds
        if not held.hold(who, now[who]):
            assert now[who] > 100 / len(now)
            held.release(who)
            del now[who]
        assert held.total_bytes == sum(now.values()) <= 200


def test_of_too_many_strangers_the_oldest_goes() -> None:
    strangers = Strangers[str](most=2)
    assert strangers.come("a") is None
    assert strangers.come("b") is None
    assert strangers.come("c") == "a"
    strangers.leave("a")
    strangers.leave("a")
    assert len(strangers) == 2
    strangers.leave("b")
    assert strangers.come("d") is None
