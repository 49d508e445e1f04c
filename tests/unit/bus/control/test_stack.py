from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bus.control.stack import StackOptions, managed_nats_url, nats_spec, service_specs

OPTIONS = StackOptions(
    host="127.0.0.1",
    port=8080,
    gateways=1,
    asr_workers=1,
    llm_workers=1,
    data_dir=Path("/data"),
    nats_url=managed_nats_url(4333),
    nats_port=4333,
    settings={"HARKEN_LOG_LEVEL": "info"},
)


def test_the_managed_server_keeps_its_store_below_the_data_folder() -> None:
    spec = nats_spec(OPTIONS, "python", {})
    assert spec is not None
    assert spec.argv == ("python", "-m", "bus.nats_server", "--data-dir", "/data/nats", "--port", "4333")


def test_an_external_server_is_not_started_but_everybody_is_told_of_it() -> None:
    options = replace(OPTIONS, nats_port=None, nats_url="nats://elsewhere")
    assert nats_spec(options, "python", {}) is None
    assert {s.environment["NATS_URL"] for s in service_specs(options, "python", {}, cores=2)} == {"nats://elsewhere"}


def test_one_of_a_kind_has_a_plain_name_and_several_are_numbered() -> None:
    specs = service_specs(replace(OPTIONS, gateways=2), "python", {}, cores=2)
    assert [s.name for s in specs] == ["gateway.1", "gateway.2", "asr", "llm"]


def test_gateways_share_the_address_that_was_asked_for() -> None:
    gateways = service_specs(replace(OPTIONS, gateways=2, port=9000), "python", {}, cores=2)[:2]
    assert {s.environment["HARKEN_GATEWAY_PORT"] for s in gateways} == {"9000"}
    assert {s.environment["HARKEN_GATEWAY_HOST"] for s in gateways} == {"127.0.0.1"}


def test_chat_can_be_left_out_and_can_have_several_workers() -> None:
    def names(llm_workers: int) -> list[str]:
        return [s.name for s in service_specs(replace(OPTIONS, llm_workers=llm_workers), "python", {}, cores=2)]

    assert names(0) == ["gateway", "asr"]
    assert names(2) == ["gateway", "asr", "llm.1", "llm.2"]


def threads(*, workers: int, cores: int = 8, environ: Mapping[str, str] | None = None) -> list[str | None]:
    specs = service_specs(replace(OPTIONS, asr_workers=workers), "python", environ or {}, cores=cores)
    return [s.environment.get("HARKEN_ASR_THREADS") for s in specs if s.name.startswith("asr")]


def test_cores_are_split_over_the_workers_but_each_has_one() -> None:
    assert threads(cores=8, workers=2) == ["4", "4"]
    assert threads(cores=2, workers=3) == ["1", "1", "1"]


def test_workers_of_chat_split_half_of_the_cores() -> None:
    specs = service_specs(replace(OPTIONS, llm_workers=2), "python", {}, cores=8)
    assert [s.environment.get("HARKEN_LLM_THREADS") for s in specs] == [None, None, "2", "2"]
    assert not any("HARKEN_ASR_THREADS" in s.environment for s in specs)


def test_a_single_worker_chooses_its_threads_itself() -> None:
    assert threads(workers=1) == [None]


def test_workers_on_a_gpu_choose_their_threads_themselves() -> None:
    assert threads(workers=2, environ={"HARKEN_ASR_DEVICE": "cuda"}) == [None, None]


def test_a_number_of_threads_in_the_environment_is_kept() -> None:
    assert threads(workers=1, environ={"HARKEN_ASR_THREADS": "3"}) == ["3"]
    assert threads(workers=2, environ={"HARKEN_ASR_THREADS": "3"}) == ["3", "3"]


def test_flags_win_over_the_environment_and_the_rest_is_passed_on() -> None:
    gateway = service_specs(OPTIONS, "python", {"HARKEN_LOG_LEVEL": "debug", "PATH": "/bin"}, cores=2)[0]
    assert gateway.environment["HARKEN_LOG_LEVEL"] == "info"
    assert gateway.environment["PATH"] == "/bin"


@pytest.mark.parametrize("variable", ["HARKEN_ASR_METRICS_PORT", "HARKEN_LLM_METRICS_PORT"])
def test_workers_that_serve_metrics_count_up_from_the_port_that_is_set(variable: str) -> None:
    options = replace(OPTIONS, asr_workers=2, llm_workers=2)
    kind = variable.split("_")[1].lower()
    workers = [s for s in service_specs(options, "python", {variable: "9101"}, cores=2) if s.name.startswith(kind)]
    assert [worker.environment[variable] for worker in workers] == ["9101", "9102"]
    assert not any(variable in s.environment for s in service_specs(options, "python", {}, cores=2))
