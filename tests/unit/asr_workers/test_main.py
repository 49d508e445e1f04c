import pytest

from asr_workers.__main__ import _scheduler as scheduler
from asr_workers.batch.costs import CostModel
from asr_workers.engines.base import EngineCapabilities
from asr_workers.settings import AsrSettings
from bus.contract.work import WindowKind


@pytest.mark.parametrize("kind", ["final", "partial"])
@pytest.mark.parametrize(("executors", "max_batch", "held"), [(8, 1, 8), (1, 16, 16)])
def test_a_worker_holds_a_batch_or_a_window_for_each_executor(
    kind: WindowKind, executors: int, max_batch: int, held: int
) -> None:
    able = EngineCapabilities(
        model="base", executors=executors, max_batch=max_batch, slots=executors, languages=frozenset({"en"})
    )
    assert scheduler(AsrSettings(), able, CostModel()).room(kind) == held
