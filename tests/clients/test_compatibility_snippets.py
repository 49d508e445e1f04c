"""The snippets of docs/compatibility.md, run as they stand there but for the port and the folder of the audio."""

import asyncio
import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, speech

DOCS = Path(__file__).parents[2] / "docs" / "compatibility.md"
NODE_CLIENTS = Path(os.environ.get("HARKEN_NODE_CLIENTS") or Path(__file__).parent)
MICROPHONE = "class PyAudio:\n    def open(self, **options):\n        raise OSError('no microphone')\n\n\npaInt16 = 8\n"
"""A stub of the library that whisper-live imports to record."""
pytestmark = pytest.mark.weights


def snippet(language: str, *, of: str) -> str:
    """The one block in `language` that uses the client `of`."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if of in block)
    return str(block)


async def output(script: str, *interpreter: str, folder: Path, port: int, **environ: str) -> str:
    """What the snippet prints."""
    folder.joinpath("speech.raw").write_bytes(speech(8))
    folder.joinpath("snippet").write_text(script.replace("8080", str(port)), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(*interpreter, "snippet"),
        cwd=folder,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, stderr.decode()
    return stdout.decode()


@pytest.mark.parametrize("client", ["deepgram", "whisper_live"])
async def test_a_snippet_in_python_prints_what_was_said(
    client: str, launch_gateway: Launch, launch_worker: Launch, tmp_path: Path
) -> None:
    if importlib.util.find_spec(client) is None:
        pytest.skip(f"{client} is not installed")
    gateway = await launch_gateway()
    await launch_worker()
    await became(gateway.port, 200)
    tmp_path.joinpath("pyaudio.py").write_text(MICROPHONE, encoding="utf-8")
    path = os.pathsep.join(one for one in (str(tmp_path), os.environ.get("PYTHONPATH")) if one)
    script = snippet("python", of=client)
    said = await output(script, sys.executable, folder=tmp_path, port=gateway.port, PYTHONPATH=path)
    assert "w2 w3 w4" in said


@pytest.mark.skipif(
    shutil.which("node") is None or not (NODE_CLIENTS / "node_modules" / "@deepgram" / "sdk").exists(),
    reason="Node or @deepgram/sdk is not here",
)
async def test_the_snippet_for_node_prints_what_was_said(
    launch_gateway: Launch, launch_worker: Launch, tmp_path: Path
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await became(gateway.port, 200)
    (tmp_path / "node_modules").symlink_to((NODE_CLIENTS / "node_modules").resolve())
    said = await output(snippet("js", of="@deepgram/sdk"), "node", folder=tmp_path, port=gateway.port)
    assert "w2 w3 w4" in said
