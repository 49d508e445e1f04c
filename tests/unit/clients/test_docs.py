"""The snippets of docs/sdk.md are programs: each runs as it stands."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.unit.clients.cli.recordings import write_recording
from tests.unit.clients.stub_service import StubService

ROOT = Path(__file__).parents[3]
SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8"), re.DOTALL)
PATIENCE_S = 30.0


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "  0.00  This is segment 1."), (1, ""), (2, "session s1 with model base")]
)
async def test_a_snippet_of_the_sdk_page_runs(tmp_path: Path, number: int, shown: str) -> None:
    write_recording(tmp_path / "speech.wav")
    async with StubService() as service:
        program = SNIPPETS[number].replace("ws://127.0.0.1:8080", service.url)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, stdout=-1, stderr=-1
        )
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, err.decode()) == (0, "")
    assert shown in out.decode()


def test_every_snippet_is_tested() -> None:
    assert len(SNIPPETS) == 3
