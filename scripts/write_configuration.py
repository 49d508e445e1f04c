"""Write docs/configuration.md from the settings classes, so that it cannot differ from `--help`."""

import sys
from pathlib import Path

from asr_workers.settings import AsrSettings
from bus.control.up import UpSettings
from bus.nats_server import NatsServerSettings
from bus.runtime.settings import Settings, describe
from bus.runtime.shared_settings import SharedSettings
from llm_workers.settings import LlmSettings
from stream_gateway.settings import GatewaySettings

TARGET = Path(__file__).parents[1] / "docs" / "configuration.md"
SECTIONS: tuple[tuple[str, str, type[Settings]], ...] = (
    ("Every process", "", SharedSettings),
    ("The whole service", "`harken up`", UpSettings),
    ("Gateway", "`python -m stream_gateway`", GatewaySettings),
    ("ASR worker", "`python -m asr_workers`", AsrSettings),
    ("LLM worker", "`python -m llm_workers`", LlmSettings),
    ("NATS server", "`python -m bus.nats_server`, which `harken up` starts", NatsServerSettings),
)
_HEAD = """# Configuration

Every setting is a flag or an environment variable; a flag wins. Unknown `HARKEN_` variables are refused at the start,
with the name that was probably meant. `harken up` hands its environment on to the processes it starts. Clients read
`HARKEN_URL` and `HARKEN_API_KEY`.

This page is written by `scripts/write_configuration.py`; a test keeps it true.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, command, settings in SECTIONS:
        parts.append(f"\n## {title}\n\n" + (f"{command}\n\n" if command else ""))
        parts.append("| variable | flag | default | what it does |\n|---|---|---|---|\n")
        for line in describe(settings):
            default = f"`{line.default}`" if line.default else ""
            parts.append(f"| `{line.environment}` | `{line.flag}` | {default} | {line.help} |\n")
    return "".join(parts)


if __name__ == "__main__":
    TARGET.write_text(page())
    sys.stdout.write(f"{TARGET.name} written\n")
