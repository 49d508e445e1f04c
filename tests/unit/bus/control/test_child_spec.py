from bus.control.child_spec import ChildSpec, restart_order, stop_order


def spec(name: str, stage: int) -> ChildSpec:
    return ChildSpec(name, ("true",), {}, stage)


def test_stages_stop_in_order_and_the_children_of_one_together() -> None:
    specs = [spec("nats", 2), spec("gateway.2", 0), spec("asr", 1), spec("gateway.1", 0)]
    assert stop_order(specs) == [["gateway.1", "gateway.2"], ["asr"], ["nats"]]


def test_nothing_to_stop_is_no_stage() -> None:
    assert stop_order([]) == []


def test_processes_are_replaced_stage_by_stage_and_those_without_a_stage_never() -> None:
    specs = [
        ChildSpec("nats", ("true",), restart_stage=None),
        ChildSpec("gateway.2", ("true",), restart_stage=1),
        ChildSpec("gateway.1", ("true",), restart_stage=1),
        ChildSpec("asr", ("true",), restart_stage=0),
    ]
    assert restart_order(specs) == ["asr", "gateway.1", "gateway.2"]
