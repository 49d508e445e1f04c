import importlib
import sys

import pytest

from llm_workers.engines import table
from llm_workers.engines.base import EngineOptions, EngineUnavailable
from llm_workers.engines.table import ENGINES, open_engine

OPTIONS = EngineOptions(model_name="m")


async def test_an_engine_opens_by_name() -> None:
    engine = await open_engine("scripted", OPTIONS)
    assert engine.capabilities.model == "m"


async def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(EngineUnavailable, match="known are openai-compatible, scripted, torch"):
        await open_engine("torhc", OPTIONS)


@pytest.mark.parametrize("name", ["openai-compatible", "scripted"])
def test_every_entry_of_the_table_names_an_engine(name: str) -> None:
    module, _, class_name = ENGINES[name].partition(":")
    importlib.import_module(module)
    assert callable(getattr(sys.modules[module], class_name).open)


async def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(table, "import_module", missing)
    with pytest.raises(EngineUnavailable, match=r"needs the package torch; install harken\[torch\]"):
        await open_engine("torch", OPTIONS)
