"""The settings that every process of ours knows."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from bus.runtime.settings import SHARED_SECTION, setting
from bus.transport.server_url import parse_server_url


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSettings:
    """The section without a name of its own."""

    section: ClassVar[str] = SHARED_SECTION
    nats_url: str = setting(
        "nats://127.0.0.1:4222",
        environment="NATS_URL",
        help="NATS to join: one server or several separated by commas, with name and password if it wants them."
        " Without it, harken up starts a server of its own.",
    )
    bus_replicas: int = setting(
        1,
        help="Servers of the NATS cluster that have each stream: 3 where one of three may fail.",
        minimum=1,
        maximum=5,
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", help="Least severity that is logged.")
    log_format: Literal["json", "text"] = setting("json", help="One JSON object per line, or lines for people.")
    reuse_metrics_port: bool = setting(
        False, help="Share a worker's metrics port with the process that this one replaces, while both run."
    )
    cache_dir: Path | None = setting(
        None, help="Where models are kept; by default harken in the user's cache directory."
    )

    def __post_init__(self) -> None:
        parse_server_url(self.nats_url)
