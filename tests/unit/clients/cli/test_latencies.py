import pytest

from clients.cli.latencies import Latencies, latency_rows, percentile
from tests.unit.clients.events import committed, ended, final, partial


def test_a_partial_is_late_by_the_time_since_its_speech_began() -> None:
    latencies = Latencies(paced=True)
    latencies.begin(100.0)
    latencies.on_event(partial(2, segment=1, start_s=2.0, text=""), 102.5)
    latencies.on_event(partial(3, segment=1, start_s=2.0), 103.25)
    latencies.on_event(partial(4, segment=1, start_s=2.0), 104.0)
    assert latencies.first_partial_delays_s == [1.25]


def test_partials_of_audio_that_is_sent_faster_than_spoken_say_nothing() -> None:
    latencies = Latencies(paced=False)
    latencies.begin(100.0)
    latencies.on_event(partial(3, segment=1), 103.0)
    assert latencies.first_partial_delays_s == []


def test_the_table_holds_the_figures_of_all_recordings() -> None:
    both = [Latencies(paced=True), Latencies(paced=True)]
    for latencies, wall_s in zip(both, (10.0, 20.0), strict=True):
        latencies.begin(0.0)
        latencies.on_event(partial(2, segment=1, start_s=1.0), 2.0)
        latencies.on_event(final(3, total_s=wall_s / 20), 3.0)
        latencies.on_event(committed(4, 16_000), 4.0)
        latencies.on_event(ended(5, audio_s=30.0), wall_s)
    assert latency_rows(both) == [
        ("audio", "60.0 s"),
        ("wall time of the longest session", "20.0 s"),
        ("speed", "3.0 x real time"),
        ("finals", "2"),
        ("first partial after start of speech, p50", "1.00 s"),
        ("final after end of speech, p50", "0.50 s"),
        ("final after end of speech, p95", "1.00 s"),
    ]


def test_a_final_that_was_missed_and_told_later_has_no_times() -> None:
    latencies = Latencies(paced=False)
    latencies.on_event(final(2, total_s=0.0), 1.0)
    assert (latencies.finals, latencies.final_latencies_s) == (1, [])


def test_figures_that_do_not_exist_are_left_open() -> None:
    latencies = Latencies(paced=True)
    latencies.on_event(partial(2), 1.0)
    assert [figure for _, figure in latency_rows([latencies])] == ["0.0 s", "0.0 s", "-", "0", "-", "-", "-"]
    assert latency_rows([])[0] == ("audio", "0.0 s")


@pytest.mark.parametrize(("percent", "value"), [(0, 1.0), (50, 2.0), (51, 3.0), (95, 4.0), (100, 4.0)])
def test_percentiles_are_values_that_occurred(percent: float, value: float) -> None:
    assert percentile([3.0, 1.0, 4.0, 2.0], percent) == value
