"""`harken up`: the whole service on one machine."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import click
from click.core import ParameterSource

from bus.control.chat_weights import DEFAULT_CHAT_MODEL, chat_weights
from bus.control.console import Console
from bus.control.data_dir import default_data_dir
from bus.control.fetch_progress import fetch_shown
from bus.control.ports import gateway_port, nats_port
from bus.control.probes import reachable_host, url_host
from bus.control.run_stack import run_stack
from bus.control.stack import StackOptions, managed_nats_url
from bus.runtime import readiness
from bus.runtime.exposure import check_anonymous
from bus.runtime.model_store.catalogue import SILERO_VAD, WHISPER_BASE
from bus.runtime.model_store.errors import ModelStoreError
from bus.runtime.model_store.store import default_cache_dir
from bus.runtime.readiness import tell_ready
from bus.runtime.settings import click_options, refuse_unknown_environment, setting
from bus.runtime.shared_settings import SharedSettings
from bus.runtime.tls import check_pair, server_context
from bus.transport.server_url import parse_server_url

_NAME_WIDTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class UpSettings:
    """How many processes run, and where. What they do is set by their own variables, which are passed on."""

    section: ClassVar[str] = "UP"
    host: str = setting(
        "127.0.0.1",
        environment="HARKEN_GATEWAY_HOST",
        help="Address to listen on; 0.0.0.0 for all, which takes keys (HARKEN_GATEWAY_API_KEYS).",
    )
    allow_anonymous: bool = setting(
        False,
        environment="HARKEN_GATEWAY_ALLOW_ANONYMOUS",
        help="Listen on other addresses than loopback without keys too.",
    )
    port: int = setting(
        8080, environment="HARKEN_GATEWAY_PORT", help="Port to listen on; 0 takes a free one.", minimum=0, maximum=65535
    )
    tls_cert: Path | None = setting(
        None,
        environment="HARKEN_GATEWAY_TLS_CERT",
        help="Certificate chain (PEM); with it, and its key, gateways speak wss and https alone.",
    )
    tls_key: Path | None = setting(
        None, environment="HARKEN_GATEWAY_TLS_KEY", help="Private key of the certificate (PEM, not encrypted)."
    )
    gateways: int = setting(1, help="Gateway processes; they share the port.", minimum=1, maximum=64)
    asr_workers: int = setting(1, help="Recognition processes; they share the cores.", minimum=1, maximum=64)
    llm_workers: int = setting(
        1, help="Chat processes; their model leaves the cores to speech. 0 runs none.", minimum=0, maximum=64
    )
    nats_port: int | None = setting(
        None,
        help="Port of the nats-server that is started; by default 4222, or a free one if that is taken.",
        minimum=1,
        maximum=65535,
    )
    data_dir: Path | None = setting(
        None, help="Where transcripts are stored; by default harken in the user's data directory."
    )
    model: str = setting(
        WHISPER_BASE.name,
        environment="HARKEN_ASR_MODEL",
        help="Name of a model (harken models list shows them) or path of a folder.",
    )
    llm_model: str = setting(
        DEFAULT_CHAT_MODEL,
        environment="HARKEN_LLM_MODEL",
        help="Name of a model for chat, or path of a file; with HARKEN_LLM_BASE_URL, its name on that server.",
    )

    def __post_init__(self) -> None:
        check_pair(self.tls_cert, self.tls_key)


@click.command()
@click_options(UpSettings)
@click_options(SharedSettings, "shared")
def up(settings: UpSettings, shared: SharedSettings) -> None:
    """Run the whole service on this machine until Ctrl-C.

    Starts a nats-server of its own, unless NATS_URL names one. When the service is ready, prints one line with its
    addresses and that of NATS; what the processes say goes to stderr. A second Ctrl-C ends everything at once. After an
    update, harken restart (or a SIGHUP) replaces the processes one by one while the service goes on.
    """
    cache_dir = shared.cache_dir or default_cache_dir()
    try:
        refuse_unknown_environment(UpSettings.section, (UpSettings, SharedSettings), os.environ)
        has_keys = bool(os.environ.get("HARKEN_GATEWAY_API_KEYS", "").strip())
        check_anonymous(settings.host, has_keys=has_keys, is_allowed=settings.allow_anonymous)
        tls = _tls_settings(settings)
        port = gateway_port(settings.host, settings.port)
        options = _stack_options(settings, shared, port, cache_dir, tls)
        nats_servers = parse_server_url(options.nats_url).servers
        chat = chat_weights(settings.llm_model, os.environ) if settings.llm_workers else ()
        for name in (settings.model, SILERO_VAD.name, *chat):
            fetch_shown(name, cache_dir=cache_dir)
    except (ValueError, ModelStoreError) as error:
        raise click.ClickException(str(error)) from error
    console = Console(sys.stderr, width=_NAME_WIDTH, colour=sys.stderr.isatty())
    address = f"{url_host(reachable_host(settings.host))}:{port}"
    s = "s" if options.tls else ""
    ready_line = f"harken is ready: ws{s}://{address}/v1/stream  http{s}://{address}/  {','.join(nats_servers)}"

    def announce() -> None:
        click.echo(ready_line)
        tell_ready(os.environ.get(readiness.ENVIRONMENT))

    sys.exit(run_stack(options, console, announce=announce))


def _tls_settings(settings: UpSettings) -> Mapping[str, str]:
    """Of the gateways; raises ValueError for files with which none would start."""
    if settings.tls_cert is None or settings.tls_key is None:
        return {}
    server_context(settings.tls_cert, settings.tls_key)
    return {
        "HARKEN_GATEWAY_TLS_CERT": str(settings.tls_cert.absolute()),
        "HARKEN_GATEWAY_TLS_KEY": str(settings.tls_key.absolute()),
    }


def _stack_options(
    settings: UpSettings, shared: SharedSettings, port: int, cache_dir: Path, tls: Mapping[str, str]
) -> StackOptions:
    port_of_nats = _port_of_nats(settings.nats_port)
    return StackOptions(
        host=settings.host,
        port=port,
        gateways=settings.gateways,
        asr_workers=settings.asr_workers,
        llm_workers=settings.llm_workers,
        data_dir=(settings.data_dir or default_data_dir()).absolute(),
        nats_url=shared.nats_url if port_of_nats is None else managed_nats_url(port_of_nats),
        nats_port=port_of_nats,
        tls=bool(tls),
        settings={
            **tls,
            "HARKEN_GATEWAY_ALLOW_ANONYMOUS": str(settings.allow_anonymous).lower(),
            "HARKEN_ASR_MODEL": settings.model,
            "HARKEN_LLM_MODEL": settings.llm_model,
            "HARKEN_CACHE_DIR": str(cache_dir.absolute()),
            "HARKEN_LOG_LEVEL": shared.log_level,
            # People read the output of this command; who collects it asks for json.
            "HARKEN_LOG_FORMAT": "text" if _is_default("shared__log_format") else shared.log_format,
        },
    )


def _port_of_nats(wanted: int | None) -> int | None:
    """Of the nats-server to start; None if NATS_URL names one that runs already."""
    if _is_default("shared__nats_url"):
        return nats_port(wanted)
    if wanted is not None:
        raise click.UsageError(
            "--nats-port is the port of a server to start, and NATS_URL names one that runs: give one of the two"
        )
    return None


def _is_default(parameter: str) -> bool:
    return click.get_current_context().get_parameter_source(parameter) is ParameterSource.DEFAULT
