"""The page, the real Whisper base and the bundled recording: what is read is what the command line would show."""

from pathlib import Path

import pytest

from tests.browser.chrome import Tab
from tests.browser.test_captions import FIRST_FINAL, WORDS_IN_FLIGHT
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, speech, undisturbed_text

pytestmark = [pytest.mark.weights, pytest.mark.slow]


async def test_a_spoken_sentence_ends_as_the_text_that_the_native_client_gets(
    launch_gateway: Launch, launch_worker: Launch, whisper_base_path: Path, talking_tab: Tab
) -> None:
    gateway = await launch_gateway()
    await launch_worker(HARKEN_ASR_ENGINE="faster-whisper", HARKEN_ASR_MODEL=str(whisper_base_path))
    await became(gateway.port, 200)
    native = await undisturbed_text(gateway.port, speech())
    await talking_tab.open(f"http://127.0.0.1:{gateway.port}/?language=en")
    await talking_tab.click("record")
    assert await talking_tab.until(FIRST_FINAL) == native
    assert await talking_tab.until(WORDS_IN_FLIGHT)
