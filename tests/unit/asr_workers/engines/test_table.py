import sys
from pathlib import Path

import pytest

from asr_workers.engines.base import EngineOptions, EngineUnavailable
from asr_workers.engines.table import ENGINES, open_engine

OPTIONS = EngineOptions(model_name="m", model_path=None)


def test_an_engine_opens_by_name() -> None:
    assert open_engine("scripted", OPTIONS).capabilities.model == "m"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(EngineUnavailable, match="known are faster-whisper, scripted"):
        open_engine("whispr", OPTIONS)


@pytest.mark.parametrize("target", ENGINES.values())
def test_every_entry_of_the_table_names_an_engine(target: str) -> None:
    module, _, name = target.partition(":")
    __import__(module)
    assert callable(getattr(sys.modules[module], name).open)


def test_missing_weights_are_named_as_the_reason(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no weights"):
        open_engine("faster-whisper", EngineOptions(model_name="m", model_path=tmp_path))


def test_unreadable_weights_are_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(EngineUnavailable, match="cannot be loaded on cpu as int8"):
        open_engine("faster-whisper", EngineOptions(model_name="m", model_path=tmp_path, device="cpu"))
