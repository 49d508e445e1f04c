"""Simulated time: the same figures on every machine."""

from benchmarks.plan import MACHINES, simulate, with_costs, without_costs


def test_under_overload_finals_run_in_full_batches() -> None:
    row = simulate(MACHINES["one executor"], with_costs, sessions=20, seconds=60, every_s=0.6)
    assert float(row["finals a batch"]) > 3.4


def test_finals_wait_less_behind_partials_than_they_did_without_costs() -> None:
    before, after = (
        simulate(MACHINES["one executor"], plan, sessions=8, seconds=300, every_s=0.6)
        for plan in (without_costs, with_costs)
    )
    assert float(after["final p50"]) < 0.9 * float(before["final p50"])
    assert float(after["final p95"]) < float(before["final p95"])
    assert float(after["finals a second"]) >= float(before["finals a second"])
