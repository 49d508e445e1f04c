"""The snippets of docs/web.md and of the npm package's README are programs: each runs in a browser as it stands."""

import json
import re
from pathlib import Path

import pytest

from tests.browser.chrome import Tab
from tests.integration.conftest import Launch
from tests.integration.gateway_client import SAMPLE, became

pytestmark = [pytest.mark.weights, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SNIPPETS = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "web.md").read_text(encoding="utf-8"), re.DOTALL)
IMPORT = re.compile(r'import (\{.*?\}) from "harken-client";')


async def run_snippet(tab: Tab, port: int, snippet: str) -> str:
    """What it writes to the console, after a page of the gateway was loaded."""
    await tab.open(f"http://127.0.0.1:{port}/")
    program = IMPORT.sub(r'const \1 = await import("/static/sdk/harken.js");', snippet)
    program = program.replace("wss://speech.example.org", f"ws://127.0.0.1:{port}")
    recording = list(SAMPLE.read_bytes())
    return str(
        await tab.run(
            f"""(async () => {{
              const lines = [];
              const console = {{ log: (...parts) => lines.push(parts.join(" ")) }};
              const file = new Blob([Uint8Array.from({json.dumps(recording)})]);
              {program}
              return lines.join("\\n");
            }})()"""
        )
    )


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, ["connecting", "... w", "w16", "ended"]),
        (1, ["w16", "bytes"]),
        (2, ["What.1", "stop"]),
    ],
)
async def test_a_snippet_of_the_page_on_the_sdk_runs(
    launch_gateway: Launch,
    launch_worker: Launch,
    launch_llm_worker: Launch,
    tab: Tab,
    number: int,
    shown: list[str],
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await launch_llm_worker()
    await became(gateway.port, 200)
    written = await run_snippet(tab, gateway.port, SNIPPETS[number])
    assert [one for one in shown if one not in written] == []
    assert tab.complaints == []


def test_every_snippet_is_tested() -> None:
    assert len(SNIPPETS) == 3
