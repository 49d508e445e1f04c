from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.policy.population import Population


def test_who_comes_and_goes_is_counted_by_tenant() -> None:
    inside = Population(settle_s=10.0)
    inside.on_opened("s1", "acme", 0.0)
    inside.on_opened("s2", "acme", 0.0)
    inside.on_opened("s3", "globex", 0.0)
    assert (len(inside), inside.of_tenant("acme"), inside.of_tenant("globex")) == (3, 2, 1)
    inside.on_closed("s1")
    inside.on_closed("s3")
    assert (len(inside), inside.of_tenant("acme"), inside.of_tenant("globex")) == (1, 1, 0)
    assert inside.of_tenant("nobody") == 0


def test_a_session_is_new_until_it_has_settled_or_is_gone() -> None:
    inside = Population(settle_s=10.0)
    for number in range(3):
        inside.on_opened(f"s{number}", "t", float(number))
    assert inside.new(5.0) == 3
    assert inside.next_settles_in_s(5.0) == 5.0
    inside.on_closed("s1")
    assert inside.new(5.0) == 2
    assert inside.new(10.0) == 1
    assert inside.next_settles_in_s(10.0) == 2.0
    assert inside.new(12.0) == 0
    assert inside.next_settles_in_s(12.0) == 0.0
    inside.on_closed("s0")
    assert len(inside) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 4)), max_size=60))
def test_the_counts_are_those_of_who_is_inside(moves: list[tuple[str, bool, float]]) -> None:
    inside, known, now = Population(settle_s=5.0), dict[str, tuple[str, float]](), 0.0
    for number, (tenant, comes, passed_s) in enumerate(moves):
        now += passed_s
        if comes:
            known[f"s{number}"] = (tenant, now)
            inside.on_opened(f"s{number}", tenant, now)
        elif known:
            session = next(iter(known))
            del known[session]
            inside.on_closed(session)
        assert len(inside) == len(known)
        assert inside.new(now) == sum(now < opened_at + 5.0 for _, opened_at in known.values())
        for one in "abc":
            assert inside.of_tenant(one) == sum(tenant == one for tenant, _ in known.values())
