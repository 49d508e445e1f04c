"""`harken transcribe` as a person runs it, on the bundled recording and a real service."""

import asyncio
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.conftest import HARKEN
from tests.e2e.test_bundled_sample import MAX_WORD_ERROR_RATE, SAMPLES, word_error_rate

pytestmark = pytest.mark.weights
_WITHIN_S = 90.0
_CUE = re.compile(
    r"(?P<number>\d+)\n(?P<start>\d\d:\d\d:\d\d,\d{3}) --> (?P<end>\d\d:\d\d:\d\d,\d{3})\n(?P<text>(?:.+\n){1,2})\n"
)


async def harken(*arguments: str) -> str:
    """Standard output of one command that must succeed."""
    process = await asyncio.create_subprocess_exec(
        *HARKEN, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return output.decode()


def seconds(timestamp: str) -> float:
    hours, minutes, rest = timestamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))


async def test_a_recording_becomes_subtitles(service_url: str) -> None:
    output = await harken(
        *("transcribe", str(SAMPLES / "austen.flac"), "--url", service_url, "--language", "en", "--format", "srt")
    )

    cues = list(_CUE.finditer(output))
    assert "".join(cue[0] for cue in cues) == output
    assert [int(cue["number"]) for cue in cues] == list(range(1, len(cues) + 1))
    times = [(seconds(cue["start"]), seconds(cue["end"])) for cue in cues]
    assert all(start < end for start, end in times)
    assert all(before[1] <= after[0] for before, after in pairwise(times))
    assert word_error_rate([cue["text"] for cue in cues]) <= MAX_WORD_ERROR_RATE


async def test_several_recordings_at_once_go_to_files_of_their_own(service_url: str, tmp_path: Path) -> None:
    copy = tmp_path / "again.flac"
    copy.write_bytes((SAMPLES / "austen.flac").read_bytes())

    folder = tmp_path / "texts"
    await harken(
        *("transcribe", str(SAMPLES / "austen.flac"), str(copy), "--url", service_url, "--output-dir", str(folder))
    )

    texts = [(folder / name).read_text(encoding="utf-8") for name in ("austen.txt", "again.txt")]
    assert all(word_error_rate(text.splitlines()) <= MAX_WORD_ERROR_RATE for text in texts)
