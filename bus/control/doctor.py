"""`harken doctor`: look at this machine and say what to do about each finding."""

import asyncio
import logging
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bus.control import doctor_checks as checks
from bus.control.chat_weights import DEFAULT_CHAT_MODEL, chat_weights, starts_llama
from bus.control.data_dir import default_data_dir
from bus.control.doctor_checks import Finding, Level
from bus.runtime.model_store.catalogue import SILERO_VAD, WHISPER_BASE
from bus.runtime.model_store.store import default_cache_dir
from bus.transport.connection import BusConnection
from bus.transport.server_binary import find_server_binary

_CONNECT_TIMEOUT_S = 3.0
_FILE = click.Path(path_type=Path)
_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@click.command()
@click.option("--host", envvar="HARKEN_GATEWAY_HOST", default="127.0.0.1", show_default=True, help="Address to check.")
@click.option("--port", envvar="HARKEN_GATEWAY_PORT", type=int, default=8080, show_default=True, help="Port to check.")
@click.option(
    "--model", envvar="HARKEN_ASR_MODEL", default=WHISPER_BASE.name, show_default=True, help="Model to check."
)
@click.option(
    "--llm-model",
    envvar="HARKEN_LLM_MODEL",
    default=DEFAULT_CHAT_MODEL,
    show_default=True,
    help="Model of chat to check.",
)
@click.option("--tls-cert", envvar="HARKEN_GATEWAY_TLS_CERT", type=_FILE, help="Certificate chain to check.")
@click.option("--tls-key", envvar="HARKEN_GATEWAY_TLS_KEY", type=_FILE, help="Its private key.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def doctor(
    host: str, port: int, model: str, llm_model: str, tls_cert: Path | None, tls_key: Path | None, as_json: bool
) -> None:
    """Check Python, NATS, weights, ports, audio and hardware; exit status 1 if something must be repaired."""
    findings = [*examine(host, port, model, llm_model), checks.check_tls(tls_cert, tls_key, time.time())]
    broken = any(f.level is Level.FAIL for f in findings)
    if as_json:
        click.echo(msgspec.json.encode({"ok": not broken, "findings": findings}))
    else:
        _print_table(findings)
    sys.exit(1 if broken else 0)


def examine(host: str, port: int, model: str, llm_model: str) -> Iterator[Finding]:
    """Run every check, in the order in which a person would repair things."""
    nats_url = os.environ.get("NATS_URL")
    cache_dir = default_cache_dir()
    yield checks.check_python((sys.version_info.major, sys.version_info.minor, sys.version_info.micro))
    yield checks.check_nats_server(find_server_binary, needed=not nats_url)
    if nats_url:
        yield asyncio.run(checks.check_nats_connection(_connect, nats_url))
    for name in (model, SILERO_VAD.name, *chat_weights(llm_model, os.environ)):
        yield checks.check_model(name, cache_dir)
    if starts_llama(os.environ):
        yield checks.check_llama(sys.executable)
    yield checks.check_folder("cache folder", cache_dir)
    yield checks.check_folder("data folder", default_data_dir())
    yield checks.check_port(host, port)
    yield checks.check_cores(len(os.sched_getaffinity(0)))
    yield checks.check_cpu(_text("/proc/cpuinfo"))
    yield checks.check_gpu()
    yield checks.check_memory(_text("/proc/meminfo"))
    yield checks.check_file_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield checks.check_microphone()


async def _connect(url: str) -> BusConnection:
    # What the connection logs about a failure is in the finding already.
    logging.getLogger("bus.transport").addHandler(logging.NullHandler())
    return await BusConnection.connect(
        url, name="harken doctor", inbox_prefix="_INBOX", connect_timeout_s=_CONNECT_TIMEOUT_S
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _print_table(findings: list[Finding]) -> None:
    table = Table("", "check", "found", "what to do", box=None, pad_edge=False)
    for finding in findings:
        # Text, not str: advice holds square brackets, which rich would take for markup.
        cells = (finding.check, finding.detail, finding.advice)
        table.add_row(Text(finding.level, style=_STYLES[finding.level]), *map(Text, cells))
    Console().print(table)
