from pathlib import Path

from benchmarks.recordings import Recording
from benchmarks.report import Row
from benchmarks.streaming import bar_rows, enough

RECORDINGS = [Recording(name, Path(name), "en", "read", ("scenario",), "", 20.0, ()) for name in ("a", "b", "c", "d")]
ROW: Row = {
    "sessions": 4,
    "final p50": 0.7,
    "final p95": 1.4,
    "first partial p50": 0.7,
    "utterances lost": 0,
    "sessions with an error": 0,
    "stable words that changed": 0.01,
}


def verdicts(row: Row) -> dict[object, object]:
    return {one["figure"]: one["verdict"] for one in bar_rows(row)}


def test_every_client_has_two_recordings_to_play() -> None:
    assert len(enough(RECORDINGS, 1)) == 4
    assert len(enough(RECORDINGS, 2)) == 4
    assert [one.id for one in enough(RECORDINGS, 3)] == ["a", "b", "c", "d"] * 2


def test_a_round_is_held_to_the_bars_of_its_number_of_clients() -> None:
    of_all = {"utterances lost": "met", "sessions with an error": "met", "stable words that changed": "met"}
    assert verdicts({**ROW, "sessions": 1}) == {
        "final p50": "met", "final p95": "missed", "first partial p50": "met", **of_all
    }  # fmt: skip
    assert verdicts(ROW) == {"final p95": "missed", **of_all}
    assert verdicts({**ROW, "sessions": 8}) == {"final p95": "met", **of_all}
    assert verdicts({**ROW, "sessions": 3}) == of_all
