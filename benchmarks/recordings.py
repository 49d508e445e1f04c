"""Recordings with transcripts, from a manifest as the speech set has it."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
BYTES_PER_S = 2 * SAMPLE_RATE_HZ
NO_LANGUAGE = "und"
"""ISO 639 for recordings in which nobody speaks."""
DEFAULT_SPEECH = Path(os.environ.get("HARKEN_SPEECH_DATA", "../shared/speech/dev"))


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance: where speech truly begins and ends, in seconds, and its words."""

    start_s: float
    end_s: float
    text: str
    longest_pause_s: float = 0.0
    """Longest silence inside it: an endpoint shorter than this may rightly cut it in two."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of the manifest."""

    id: str
    path: Path
    language: str
    kind: str
    tags: tuple[str, ...]
    text: str
    duration_s: float
    utterances: tuple[Spoken, ...]

    def pcm(self) -> bytes:
        """16-bit little-endian mono at 16 kHz."""
        audio, rate_hz = soundfile.read(self.path, dtype="float32", always_2d=True)
        mono: NDArray[np.float32] = audio.mean(axis=1)
        if rate_hz != SAMPLE_RATE_HZ:
            mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
        return bytes((np.clip(mono, -1, 1) * 32767).astype("<i2").tobytes())


def load(folder: Path) -> list[Recording]:
    """All recordings of a folder with a manifest.jsonl whose transcript can be trusted."""
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    return [_recording(folder, row) for row in rows if row["transcript_confidence"] != "uncertain"]


def select(recordings: Sequence[Recording], names: str) -> list[Recording]:
    """Those of the named sets (comma separated, see `SETS`), in the order of the manifest; KeyError for no such set."""
    belongs = [SETS[name] for name in names.split(",")]
    return [one for one in recordings if any(test(one) for test in belongs)]


def is_scenario(one: Recording) -> bool:
    """Tell whether it has several utterances at known times."""
    return "scenario" in one.tags


SETS: Final[Mapping[str, Callable[[Recording], bool]]] = {
    "scenario": is_scenario,
    "read": lambda one: one.language == "en" and one.kind == "read" and not is_scenario(one),
    "long": lambda one: one.kind == "long",
    "conversation": lambda one: one.kind == "conversation",
    "telephone": lambda one: one.kind == "telephone" and not is_scenario(one),
    "digits": lambda one: one.kind == "digits",
    "multilingual": lambda one: one.kind == "multilingual" and not is_scenario(one),
    "noise": lambda one: one.kind == "noise",
}


def _recording(folder: Path, row: Mapping[str, Any]) -> Recording:
    return Recording(
        id=row["id"],
        path=folder / row["path"],
        language=row["lang"],
        kind=row["kind"],
        tags=tuple(row["tags"]),
        text=row["text"],
        duration_s=row["duration_s"],
        utterances=tuple(
            Spoken(one["speech_start"], one["speech_end"], one["text"], one["max_internal_pause_s"])
            for one in row.get("utterances", ())
        ),
    )
