"""Which processes one machine runs for `harken up`: options in, child specifications out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bus.control.child_spec import ChildSpec
from bus.control.process_types import ASR, GATEWAY, LLM, NATS, NATS_HOST, ProcessType


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What `harken up` was asked for. `nats_port` None means that NATS is somewhere else, at `nats_url`."""

    host: str
    port: int
    gateways: int
    asr_workers: int
    llm_workers: int
    data_dir: Path
    nats_url: str
    nats_port: int | None
    tls: bool = False
    """Whether gateways speak it; which certificate is among the settings."""
    settings: Mapping[str, str]
    """More environment for every child: the settings that were given as flags."""


def nats_spec(options: StackOptions, executable: str, environ: Mapping[str, str]) -> ChildSpec | None:
    """The managed nats-server, None if an external one is used."""
    if options.nats_port is None:
        return None
    arguments = ("--data-dir", str(options.data_dir / "nats"), "--port", str(options.nats_port))
    return _child(NATS, 1, 1, NATS.argv(executable, arguments), environ, options)


def service_specs(
    options: StackOptions, executable: str, environ: Mapping[str, str], *, cores: int
) -> tuple[ChildSpec, ...]:
    """Gateways and workers. Several workers split the cores, unless the environment says how many threads each has."""
    listen = {"HARKEN_GATEWAY_HOST": options.host, "HARKEN_GATEWAY_PORT": str(options.port)}
    gateways = (
        _child(GATEWAY, n, options.gateways, GATEWAY.argv(executable), {**environ, **listen}, options)
        for n in range(1, options.gateways + 1)
    )
    workers = (
        _child(kind, n, count, kind.argv(executable), _of_worker(kind, n, count, environ, cores), options)
        for kind, count in ((ASR, options.asr_workers), (LLM, options.llm_workers))
        for n in range(1, count + 1)
    )
    return (*gateways, *workers)


def _of_worker(kind: ProcessType, number: int, of: int, environ: Mapping[str, str], cores: int) -> Mapping[str, str]:
    """The environment of one worker: its share of the cores, and a metrics port counted up from the one that is set."""
    section = f"HARKEN_{kind.name.upper()}"
    metrics_port = f"{section}_METRICS_PORT"
    share = cores if kind is ASR else cores // 2  # as a single LLM worker takes by itself
    own = {**_threads(f"{section}_THREADS", of, environ.get(f"{section}_DEVICE"), share), **environ}
    port = environ.get(metrics_port, "")
    if not (port.isdecimal() and int(port)):
        return own
    # In a rolling restart the new process listens before the old one has left.
    return {**own, metrics_port: str(int(port) + number - 1), "HARKEN_REUSE_METRICS_PORT": "true"}


def managed_nats_url(port: int) -> str:
    """Where the managed nats-server is reached."""
    return f"nats://{NATS_HOST}:{port}"


def _threads(variable: str, workers: int, device: str | None, cores: int) -> Mapping[str, str]:
    # One worker knows best what it needs, and on a GPU the cores say nothing about how much of it fits.
    if workers == 1 or device == "cuda":
        return {}
    return {variable: str(max(1, cores // workers))}


def _child(
    kind: ProcessType, number: int, of: int, argv: tuple[str, ...], environ: Mapping[str, str], options: StackOptions
) -> ChildSpec:
    name = kind.name if of == 1 else f"{kind.name}.{number}"
    # Lines must come through the pipe when they are printed, not when a buffer is full.
    environment = {**environ, **options.settings, "NATS_URL": options.nats_url, "PYTHONUNBUFFERED": "1"}
    return ChildSpec(name, argv, environment, kind.stop_stage, kind.stop_budget_s, kind.restart_stage)
