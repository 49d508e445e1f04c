"""Recordings with transcripts, from a manifest as the speech set has it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance: where speech truly begins and ends, in seconds, and its words."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of the manifest."""

    id: str
    path: Path
    language: str
    kind: str
    tags: tuple[str, ...]
    text: str
    utterances: tuple[Spoken, ...]

    def pcm(self) -> bytes:
        """16-bit mono at 16 kHz."""
        audio, rate_hz = soundfile.read(self.path, dtype="float32", always_2d=True)
        mono: NDArray[np.float32] = audio.mean(axis=1)
        if rate_hz != SAMPLE_RATE_HZ:
            mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
        return bytes((np.clip(mono, -1, 1) * 32767).astype("<i2").tobytes())


def load(folder: Path) -> list[Recording]:
    """All recordings of a folder with a manifest.jsonl."""
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    return [
        Recording(
            id=row["id"],
            path=folder / row["path"],
            language=row["lang"],
            kind=row["kind"],
            tags=tuple(row["tags"]),
            text=row["text"],
            utterances=tuple(
                Spoken(one["speech_start"], one["speech_end"], one["text"]) for one in row.get("utterances", ())
            ),
        )
        for row in rows
        if row["transcript_confidence"] != "uncertain"
    ]


def scenarios(recordings: list[Recording]) -> list[Recording]:
    """Those with several utterances at known times."""
    return [one for one in recordings if "scenario" in one.tags]


def english_read(recordings: list[Recording]) -> list[Recording]:
    """English read speech, scenarios included."""
    return [one for one in recordings if one.language == "en" and (one.kind == "read" or "scenario" in one.tags)]
