from pathlib import Path

from bus.control.process_types import ASR, GATEWAY, NATS, NATS_PORT, PROCESS_TYPES, procfile

ROOT = Path(__file__).parents[4]


def test_the_procfile_is_the_table() -> None:
    assert (ROOT / "Procfile").read_text() == procfile()


def test_gateways_stop_before_workers_and_nats_last() -> None:
    assert GATEWAY.stop_stage < ASR.stop_stage < NATS.stop_stage


def test_a_command_uses_the_given_interpreter_and_arguments() -> None:
    assert NATS.argv("/venv/python") == (
        "/venv/python", "-m", "bus.nats_server", "--data-dir", ".harken/nats", "--port", str(NATS_PORT),
    )  # fmt: skip
    assert NATS.argv("python", ["--port", "1"]) == ("python", "-m", "bus.nats_server", "--port", "1")


def test_names_are_unique() -> None:
    assert len({t.name for t in PROCESS_TYPES}) == len(PROCESS_TYPES)
