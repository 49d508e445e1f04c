from bus.control.child_spec import ChildSpec, stop_order


def spec(name: str, stage: int) -> ChildSpec:
    return ChildSpec(name, ("true",), {}, stage)


def test_stages_stop_in_order_and_the_children_of_one_together() -> None:
    specs = [spec("nats", 2), spec("gateway.2", 0), spec("asr", 1), spec("gateway.1", 0)]
    assert stop_order(specs) == [["gateway.1", "gateway.2"], ["asr"], ["nats"]]


def test_nothing_to_stop_is_no_stage() -> None:
    assert stop_order([]) == []
