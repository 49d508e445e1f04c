import pytest

from asr_workers.batch.plan import PlanLimits
from benchmarks.gpu_streams import Talk, best_streams, call_seconds, most_streams, simulate
from bus.contract.work import WindowKind


def limits(*, executors: int = 1, batch: int = 8) -> PlanLimits:
    return PlanLimits(executors=executors, final_batch=batch, partial_batch=batch)


def costing(final_s: float, partial_s: float = 0.01) -> "Costs":
    return Costs({"final": final_s, "partial": partial_s})


class Costs:
    """Calls cost the same for any batch; remembers what was called."""

    def __init__(self, seconds: dict[WindowKind, float]) -> None:
        self.calls: list[tuple[WindowKind, int]] = []
        self._seconds = seconds

    @property
    def served(self) -> list[tuple[WindowKind, int]]:
        """The calls after those that a worker times at its start."""
        return self.calls[4:]

    def __call__(self, kind: WindowKind, windows: int) -> float:
        self.calls.append((kind, windows))
        return self._seconds[kind]


@pytest.mark.parametrize(("windows", "seconds"), [(1, 2.0), (2, 2.0), (4, 4.0), (6, 6.0), (10, 8.0), (20, 16.0)])
def test_the_cost_of_a_call_lies_between_the_batches_that_were_measured(windows: int, seconds: float) -> None:
    assert call_seconds([(10, 8.0), (6, 6.0), (2, 2.0)], windows) == pytest.approx(seconds)


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 100, 999])
@pytest.mark.parametrize("known", [0, 1, 50])
def test_the_most_streams_are_found_to_five_percent(limit: int, known: int) -> None:
    known = min(known, limit)
    found = most_streams(lambda streams: streams <= limit, at_least=known)
    assert max(known, 0.95 * limit - 1) <= found <= limit


def test_the_best_batch_limit_is_the_smallest_that_holds_the_most_streams() -> None:
    held = {1: 10, 4: 100, 8: 101, 16: 40}
    assert best_streams([1, 4, 8, 16], lambda streams, batch: streams / held[batch])[1] == 4


def test_a_device_that_is_too_slow_holds_no_stream() -> None:
    assert best_streams([1, 4], lambda streams, batch: 1.01) == (0, 1)


def test_an_idle_worker_answers_finals_as_the_endpoint_fires() -> None:
    waits = simulate(1, costing(0.1), limits(), Talk(), seconds=60)
    assert waits.final_p95_s == pytest.approx(0.5)
    assert waits.partial_p95_s == pytest.approx(0.01)


def test_a_final_counts_from_the_end_of_speech_and_begins_with_the_silence() -> None:
    waits = simulate(1, costing(0.7), limits(), Talk(), seconds=60)
    assert waits.final_p95_s == pytest.approx(0.2 + 0.7, abs=0.02)


def test_more_people_wait_longer() -> None:
    few, many = (simulate(streams, costing(0.3, 0.1), limits(), Talk(), seconds=60) for streams in (4, 60))
    assert few.final_p95_s < many.final_p95_s
    assert few.partial_p95_s < many.partial_p95_s


def test_batches_stay_within_their_limit_and_fill_under_load() -> None:
    costs = costing(0.3, 0.1)
    simulate(60, costs, limits(batch=8), Talk(), seconds=30)
    assert max(windows for _, windows in costs.served) == 8
    assert {kind for kind, _ in costs.served} == {"final", "partial"}


def test_a_person_has_one_partial_in_flight() -> None:
    costs = costing(0.1, 2.0)
    simulate(1, costs, limits(), Talk(utterance_s=(10.0, 10.0), pause_s=(3.0, 3.0)), seconds=9)
    partials = [windows for kind, windows in costs.served if kind == "partial"]
    assert partials == [1] * 5  # the first is asked for after 0.4 s, the next when the one before is answered


def test_a_second_executor_lets_finals_pass_slow_partials() -> None:
    talk = Talk(utterance_s=(2.0, 3.0))
    one, two = (simulate(2, costing(0.1, 1.5), limits(executors=number), talk, seconds=60) for number in (1, 2))
    assert one.final_p95_s > 1.0
    assert two.final_p95_s == pytest.approx(0.5, abs=0.05)


def test_the_same_seed_gives_the_same_waits() -> None:
    first, second = (simulate(9, costing(0.2), limits(), Talk(), seconds=20, seed=3) for _ in range(2))
    assert first == second
