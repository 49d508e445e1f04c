import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from asr_workers.metrics import WorkerMetrics as AsrMetrics
from bus.control.process_types import ASR, GATEWAY, LLM, NATS
from llm_workers.metrics import WorkerMetrics as LlmMetrics
from stream_gateway.metrics import GatewayMetrics

PAGE = (Path(__file__).parents[4] / "docs" / "operating.md").read_text()
_ROW = re.compile(r"^\| `(harken_\w+)` \| (\w+) \| ?(.*?) ?\| (.+) \|$", re.MULTILINE)

Described = dict[str, tuple[str, tuple[str, ...]]]
"""Name of each metric to its type and labels."""


def in_code(instruments: Callable[[CollectorRegistry], object]) -> Described:
    registry = CollectorRegistry()
    instruments(registry)
    found: Described = {}
    collectors: list[Any] = list(registry._collector_to_names)
    for one in collectors:
        shown = f"{one._name}_total" if one._type == "counter" else one._name
        found[shown] = (one._type, one._labelnames)
    return found


def on_page(heading: str) -> Described:
    section = PAGE.partition(f"\n{heading}")[2].partition("|\n\n")[0] + "|\n"
    rows = _ROW.findall(section)
    assert all(meaning.strip() for *_, meaning in rows)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows}


@pytest.mark.parametrize(
    ("heading", "instruments"),
    [("Gateway:", GatewayMetrics), ("ASR worker;", AsrMetrics), ("LLM worker;", LlmMetrics)],
)
def test_the_tables_name_exactly_the_metrics_that_exist(
    heading: str, instruments: Callable[[CollectorRegistry], object]
) -> None:
    assert on_page(heading) == in_code(instruments)


def test_the_page_says_how_long_each_process_may_take_to_stop() -> None:
    assert ASR.stop_budget_s == LLM.stop_budget_s
    times = (f"{one.stop_budget_s:g}" for one in (GATEWAY, ASR, NATS))
    expected = "gateways (killed after {} s), then workers ({} s), then NATS ({} s)".format(*times)
    assert expected in " ".join(PAGE.split())
