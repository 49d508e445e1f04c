from pathlib import Path

from asr_workers.settings import AsrSettings
from bus.control.process_types import ASR, GATEWAY, LLM, NATS, NATS_PORT, PROCESS_TYPES, procfile
from llm_workers.settings import LlmSettings
from stream_gateway.__main__ import _FINISH_S as FINISH_S
from stream_gateway.settings import GatewaySettings

ROOT = Path(__file__).parents[4]


def test_the_procfile_is_the_table() -> None:
    assert (ROOT / "Procfile").read_text() == procfile()


def test_gateways_stop_before_workers_and_nats_last() -> None:
    assert GATEWAY.stop_stage < ASR.stop_stage == LLM.stop_stage < NATS.stop_stage


def test_no_process_is_killed_while_it_drains_as_it_may() -> None:
    other_steps_s = 3.0
    assert GATEWAY.stop_budget_s >= GatewaySettings().drain_timeout_s + FINISH_S + other_steps_s
    assert ASR.stop_budget_s >= AsrSettings().drain_timeout_s + other_steps_s
    assert LLM.stop_budget_s >= LlmSettings().drain_timeout_s + other_steps_s


def test_a_command_uses_the_given_interpreter_and_arguments() -> None:
    assert NATS.argv("/venv/python") == (
        "/venv/python", "-m", "bus.nats_server", "--data-dir", ".harken/nats", "--port", str(NATS_PORT),
    )  # fmt: skip
    assert NATS.argv("python", ["--port", "1"]) == ("python", "-m", "bus.nats_server", "--port", "1")


def test_names_are_unique() -> None:
    assert len({t.name for t in PROCESS_TYPES}) == len(PROCESS_TYPES)


def test_in_a_rolling_restart_workers_are_new_before_gateways_ask_them_for_anything_new() -> None:
    assert ASR.restart_stage is not None and LLM.restart_stage is not None and GATEWAY.restart_stage is not None
    assert max(ASR.restart_stage, LLM.restart_stage) < GATEWAY.restart_stage
    assert NATS.restart_stage is None
