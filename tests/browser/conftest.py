"""A browser whose microphone speaks the bundled recording, and the service as real processes."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.browser.chrome import Tab, chromium, find_browser
from tests.integration.conftest import launch_gateway, launch_llm_worker, launch_worker
from tests.integration.gateway_client import SAMPLE

__all__ = ["launch_gateway", "launch_llm_worker", "launch_worker"]
_SPOKEN_S = 8
"""The first utterance is heard from 0.7 to 7.2 s."""
_SILENT_S = 2
"""The recording plays from when the device opens, and on a busy machine it is a while until the page hears it."""


@pytest.fixture(scope="session")
def spoken_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of the bundled recording, behind a silence."""
    audio, rate = soundfile.read(SAMPLE, dtype="int16", frames=16_000 * _SPOKEN_S)
    path = tmp_path_factory.mktemp("spoken") / "spoken.wav"
    soundfile.write(path, np.concatenate([np.zeros(rate * _SILENT_S, np.int16), audio]), rate)
    return path


@pytest.fixture
async def tab(spoken_wav: Path) -> AsyncIterator[Tab]:
    """An empty tab of a browser of its own. The recording is spoken once."""
    async with chromium(_browser(), spoken_wav) as tab:
        yield tab


@pytest.fixture
async def talking_tab(spoken_wav: Path) -> AsyncIterator[Tab]:
    """The same, with the recording over and over: a busy service may give the first utterance no partial."""
    async with chromium(_browser(), spoken_wav, loops=True) as tab:
        yield tab


def _browser() -> str:
    if not os.environ.get("HARKEN_TEST_BROWSER"):
        pytest.skip("make test-browser runs these")
    command = find_browser()
    assert command is not None, "no Chromium is installed (Debian: apt install chromium)"
    return command
