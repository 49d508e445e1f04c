import json

import pytest
from click.testing import CliRunner

from benchmarks import gpu
from benchmarks.gpu_models import Shape

TINY = Shape(width=16, heads=1, encoder_layers=1, decoder_layers=1)


def test_a_sweep_ends_with_one_line_of_all_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SHAPES", {"tiny": TINY})
    monkeypatch.setattr(gpu, "best_streams", lambda batches, wait_s: (3 if wait_s(3, 2) > 0 else 0, max(batches)))
    options = "--device cpu --models tiny --batches 2,1 --executors 1 --seconds 0 --partial-every 4"
    result = CliRunner().invoke(gpu.main, options.split(), catch_exceptions=False)
    assert result.exit_code == 0
    assert "random weights" in result.output
    figures = json.loads(result.output.splitlines()[-1])
    assert (figures["benchmark"], figures["device"], figures["compute_type"]) == ("gpu", "cpu", "int8")
    assert [(row["window"], row["batch"]) for row in figures["costs"]] == [
        (window, batch)
        for window in ("partial, 8 s, greedy", "final, 15 s, greedy", "final, 15 s, beam 5")
        for batch in (1, 2)
    ]
    assert figures["streams"] == [
        {
            "model": "tiny",
            "executors": 1,
            "streams, finals in time": 3,
            "at a batch of": 2,
            "streams, both in time": 3,
            "at batch": 2,
        }
    ]


@pytest.mark.parametrize("options", [["--models", "huge"], ["--batches", "0,1"], ["--executors", "two"]])
def test_what_cannot_be_swept_is_refused(options: list[str]) -> None:
    result = CliRunner().invoke(gpu.main, ["--device", "cpu", *options])
    assert result.exit_code == 2
