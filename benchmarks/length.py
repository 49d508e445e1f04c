"""Cost of length: compute per second of speech, long utterances against short ones made of the same speech.

Prints tables and one JSON line. `python -m benchmarks.length --help`
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import psutil

from benchmarks.bars import Bar, bar_row
from benchmarks.continuous import Samples, spaced, utterances, without_pauses
from benchmarks.playback import Played, play
from benchmarks.recordings import DEFAULT_SPEECH, SAMPLE_RATE_HZ, load, select
from benchmarks.report import Row, show_json, show_lines, show_table
from benchmarks.service import service
from benchmarks.worker_figures import Work, children, cpu_s, parse_work, read_metrics
from bus.control.probes import free_port
from bus.runtime.model_store.catalogue import SILERO_VAD
from bus.runtime.model_store.store import default_cache_dir, resolve
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES
from stream_gateway.segmentation.speech_model import CONTEXT_SAMPLES, STATE_SHAPE, SileroModel

_BAR = Bar("CPU per second of speech, longest against shortest", 1.3)
_GAP_S = 1.5
"""Between utterances: longer than any end of an utterance takes."""
_IDLE_S = 10.0
_SPARE_S = 2.0
_SETTLE_S = 1.0
"""After a session's end, for a partial that nobody waits for any more."""
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one round took. `cpu_s` is the worker's, without what it takes when nobody speaks."""

    length_s: float
    utterances: int
    speech_s: float
    cpu_s: float
    finals: Work
    partials: Work
    played: Played


@click.command()
@click.option("--lengths", default="5,20", show_default=True, help="Seconds of an utterance, one round each.")
@click.option("--seconds", default=60.0, show_default=True, help="Speech in each round.")
@click.option("--passes", default=1, show_default=True, help="How often all rounds are played, in turn.")
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
def main(lengths: str, seconds: float, passes: int, speech: Path) -> None:
    """Measure what a second of speech costs the worker.

    LibriSpeech and VCTK recordings are joined, their pauses shortened until the service hears none, and cut into
    utterances; one session speaks them in real time, with partials.
    """
    wanted = [float(one) for one in lengths.split(",")]
    spoken = _continuous(speech, max(seconds, *wanted))
    rounds = [
        (length_s, utterances(spoken, length_s, max(1, round(seconds / length_s)))) for length_s in wanted * passes
    ]
    costs = asyncio.run(_measure(rounds))
    rows = [_row([one for one in costs if one.length_s == length_s]) for length_s in wanted]
    show_table("per second of speech, by the length of utterances", rows)
    ratio = float(rows[-1]["worker CPU s"]) / float(rows[0]["worker CPU s"])
    bars = [bar_row(_BAR, ratio)]
    show_lines("bars", bars)
    show_json("length", {"speech_s": seconds, "passes": passes, "lengths": rows, "bars": bars})


def _continuous(folder: Path, seconds: float) -> Samples:
    """As much speech without pauses as asked for, and a little more to cut it in."""
    model = SileroModel(resolve(SILERO_VAD.name, cache_dir=default_cache_dir()))
    speech = np.empty(0, dtype=np.int16)
    for one in select(load(folder), "read"):
        if len(speech) >= (seconds + _SPARE_S) * SAMPLE_RATE_HZ:
            break
        if {"librispeech", "vctk"} & set(one.tags):
            samples = np.frombuffer(one.pcm(), dtype="<i2")
            speech = np.concatenate([speech, without_pauses(samples, _scores(model, samples))])
    return speech


def _scores(model: SileroModel, samples: Samples) -> list[float]:
    """Speech probability of every whole frame, as the service would have it without its energy gate."""
    scores = []
    context, state = (
        np.zeros(CONTEXT_SAMPLES, dtype=np.float32),
        np.zeros((STATE_SHAPE[0], 1, STATE_SHAPE[1]), dtype=np.float32),
    )
    for start in range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        frame = samples[start : start + FRAME_SAMPLES].astype(np.float32) / np.float32(32768)
        found, state = model.run(np.concatenate([context, frame])[np.newaxis], [1], state)
        scores.append(float(found[0]))
        context = frame[-CONTEXT_SAMPLES:]
    return scores


async def _measure(rounds: Sequence[tuple[float, Sequence[Samples]]]) -> list[Cost]:
    port = free_port(_LOOPBACK)
    async with service(None, settings={"HARKEN_ASR_METRICS_PORT": str(port)}) as (url, pid):
        assert pid is not None
        (worker,) = children(pid, "asr_workers")
        for _, pieces in rounds:  # memory and code that the first window of a size needs
            await _speak(url, pieces[:1])
        before = cpu_s(worker)
        await asyncio.sleep(_IDLE_S)
        idle = (cpu_s(worker) - before) / _IDLE_S
        return [await _round(url, port, worker, idle, length_s, pieces) for length_s, pieces in rounds]


async def _round(
    url: str, port: int, worker: psutil.Process, idle: float, length_s: float, pieces: Sequence[Samples]
) -> Cost:
    loop = asyncio.get_running_loop()
    text, began, used_s = await read_metrics(port), loop.time(), cpu_s(worker)
    played = await _speak(url, pieces)
    used_s = cpu_s(worker) - used_s - idle * (loop.time() - began)
    after = await read_metrics(port)
    return Cost(
        length_s=length_s,
        utterances=len(pieces),
        speech_s=sum(len(one) for one in pieces) / SAMPLE_RATE_HZ,
        cpu_s=used_s,
        finals=parse_work(after, "final") - parse_work(text, "final"),
        partials=parse_work(after, "partial") - parse_work(text, "partial"),
        played=played,
    )


async def _speak(url: str, pieces: Sequence[Samples]) -> Played:
    played = await play(url, spaced(pieces, _GAP_S).tobytes(), speed=1.0, language="en")
    await asyncio.sleep(_SETTLE_S)
    return played


def _row(costs: Sequence[Cost]) -> Row:
    """All passes of one length as one."""
    speech_s = sum(one.speech_s for one in costs)
    row: dict[str, float | int | str] = {
        "utterances of, s": costs[0].length_s,
        "utterances": sum(one.utterances for one in costs),
        "finals": sum(len(one.played.finals) for one in costs),
        "errors": sum(1 for one in costs if one.played.error),
        "speech s": speech_s,
        "worker CPU s": sum(one.cpu_s for one in costs) / speech_s,
    }
    for kind, works in (("finals", [one.finals for one in costs]), ("partials", [one.partials for one in costs])):
        windows = sum(one.windows for one in works)
        row |= {
            f"{kind}: windows": windows / speech_s,
            f"{kind}: audio s": sum(one.audio_s for one in works) / speech_s,
            f"{kind}: s a window": sum(one.audio_s for one in works) / max(1.0, windows),
            f"{kind}: features s": sum(one.features_s for one in works) / speech_s,
            f"{kind}: encode s": sum(one.encode_s for one in works) / speech_s,
            f"{kind}: decode s": sum(one.decode_s for one in works) / speech_s,
        }
    return row


if __name__ == "__main__":
    main()
