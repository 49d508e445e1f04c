import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_workers.batch.slot_use import SlotUse


def test_an_idle_worker_uses_nothing() -> None:
    assert SlotUse(slots=2, executors=2).share(100.0) == 0


def test_a_worker_that_decodes_on_all_slots_for_long_uses_all_of_them() -> None:
    use = SlotUse(slots=2, executors=2)
    use.begin(1, 10.0)
    use.begin(1, 10.0)
    assert use.share(20.0) == pytest.approx(0.632, abs=0.001)
    assert use.share(200.0) == pytest.approx(1.0)


def test_what_was_long_ago_is_forgotten() -> None:
    use = SlotUse(slots=1, executors=1)
    use.begin(1, 0.0)
    use.end(1, 300.0)
    assert use.share(300.0) == pytest.approx(1.0)
    assert use.share(310.0) == pytest.approx(0.368, abs=0.001)


def test_a_call_on_a_cpu_fills_its_executor_however_many_windows_it_has_and_on_a_gpu_it_has_room_for_more() -> None:
    cpu, gpu = SlotUse(slots=1, executors=1), SlotUse(slots=16, executors=1)
    for use in (cpu, gpu):
        use.begin(4, 0.0)
    assert cpu.share(1000.0) == pytest.approx(1.0)
    assert gpu.share(1000.0) == pytest.approx(0.25)


@given(st.lists(st.tuples(st.integers(1, 4), st.floats(0, 5), st.floats(0, 5)), max_size=30))
def test_it_is_a_share_whatever_comes(batches: list[tuple[int, float, float]]) -> None:
    use, now = SlotUse(slots=4, executors=2), 0.0
    for finals, busy_s, idle_s in batches:
        use.begin(finals, now)
        use.begin(0, now)
        now += busy_s
        use.end(finals, now)
        use.end(0, now)
        now += idle_s
        assert 0 <= use.share(now) <= 1
