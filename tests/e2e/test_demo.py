"""`examples/demo.py`, which is what `make demo` runs."""

import asyncio
import os
import re
import sys
import uuid
from asyncio.subprocess import PIPE, STDOUT

import psutil
import pytest

from tests.e2e.test_bundled_sample import MAX_WORD_ERROR_RATE, SAMPLES, word_error_rate

pytestmark = [pytest.mark.weights, pytest.mark.slow, pytest.mark.timeout(240)]
_WITHIN_S = 180.0
_MARK = "RUN_OF_THE_DEMO"


def processes_of(run: str) -> list[psutil.Process]:
    """Every process that inherited the mark of this run."""
    return [one for one in psutil.process_iter(["environ"]) if (one.info["environ"] or {}).get(_MARK) == run]


async def test_the_demo_shows_a_transcript_and_an_answer_to_a_spoken_question_and_leaves_no_process_behind(
    whisper_base_path: object, silero_path: object, smollm2_path: object
) -> None:
    run = uuid.uuid4().hex
    environment = {name: value for name, value in os.environ.items() if name != "NATS_URL"} | {_MARK: run}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SAMPLES.parent / "examples" / "demo.py")), stdout=PIPE, stderr=STDOUT, env=environment
    )
    try:
        assert processes_of(run)  # else none left behind would mean nothing
        async with asyncio.timeout(_WITHIN_S):
            output = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert process.returncode == 0, output
    spoken, _, answered = output.partition("\nasking the assistant")
    transcript, _, latencies = spoken.partition("real time\n")[2].partition("\nlatencies\n")
    assert word_error_rate(transcript.splitlines()) <= MAX_WORD_ERROR_RATE
    assert re.search(r"first partial after start of speech, p50 +\d+\.\d\d s", latencies)
    assert re.search(r"final after end of speech, p50 +\d+\.\d\d s", latencies)
    assert re.search(r"^you: +What time is it\?$", answered, re.MULTILINE)
    assert re.search(r"^assistant: \S.+$", answered, re.MULTILINE)
    assert re.search(r"^first words of the answer \d+\.\d\d s after the end of speech$", answered, re.MULTILINE)
    assert processes_of(run) == []
