"""How many sessions a GPU holds: model calls by batch size and concurrency, and what follows from them.

Prints tables and one JSON line. `python -m benchmarks.gpu --help`; `--device cpu --quick` tries it without a GPU.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import ctranslate2

from asr_workers.batch.plan import PlanLimits
from asr_workers.engines.whisper_calls import WhisperCalls
from benchmarks.gpu_costs import TOKENS_PER_S, Cost, Load, measure
from benchmarks.gpu_models import SHAPES, english_prompt, write_random_model
from benchmarks.gpu_streams import Talk, Waits, best_streams, call_seconds, simulate
from benchmarks.gpu_windows import WINDOW_S, feature_seconds, noise, recorded
from benchmarks.report import Row, show_json, show_lines
from bus.contract.work import WindowKind
from bus.runtime.model_store.store import default_cache_dir, resolve

_REAL = "base"
_PARTIAL = Load(kind="partial", speech_s=7, context_s=8, beam_size=1)
_GREEDY_FINAL = Load(kind="final", speech_s=WINDOW_S, context_s=15, beam_size=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is measured."""

    device: str
    compute_type: str
    batches: tuple[int, ...]
    executors: tuple[int, ...]
    loads: tuple[Load, ...]
    seconds: float


def _numbers(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        numbers = tuple(sorted({int(one) for one in value.split(",")}))
    except ValueError:
        raise click.BadParameter("numbers separated by commas") from None
    if numbers[0] < 1:
        raise click.BadParameter("numbers from 1")
    return numbers


def _names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(value.split(","))
    if unknown := set(names) - set(SHAPES):
        raise click.BadParameter(f"no shape of {', '.join(sorted(unknown))}; known are {', '.join(SHAPES)}")
    return names


@click.command()
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--compute-type", default="auto", show_default=True, help="auto: float16 on a GPU, int8 on a CPU.")
@click.option("--models", default="base,small,large-v3-turbo", show_default=True, callback=_names, help="Of these.")
@click.option("--batches", default="1,2,4,8,16,32,64", show_default=True, callback=_numbers)
@click.option("--executors", default="1,2", show_default=True, callback=_numbers, help="Model calls in parallel.")
@click.option("--beam", default=5, show_default=True, type=click.IntRange(min=2), help="Of finals, beside greedy ones.")
@click.option("--seconds", default=2.0, show_default=True, help="Spent on each setting.")
@click.option("--partial-every", default=0.4, show_default=True, help="Seconds between the partials of a stream.")
@click.option("--quick", is_flag=True, help="Base only, batches of 1 and 4, no greedy finals, few calls.")
def main(
    device: str,
    compute_type: str,
    models: tuple[str, ...],
    batches: tuple[int, ...],
    executors: tuple[int, ...],
    beam: int,
    seconds: float,
    partial_every: float,
    quick: bool,
) -> None:
    """Sweep batch size and concurrency, and derive how many streams hold their latency."""
    if compute_type == "auto":
        compute_type = "float16" if device == "cuda" else "int8"
    beamed = replace(_GREEDY_FINAL, beam_size=beam)
    sweep = Sweep(
        device=device,
        compute_type=compute_type,
        batches=(1, 4) if quick else batches,
        executors=executors,
        loads=(_PARTIAL, beamed) if quick else (_PARTIAL, _GREEDY_FINAL, beamed),
        seconds=0.0 if quick else seconds,
    )
    talk = Talk(partial_every_s=partial_every)
    print(
        f"Whisper on {device}, {compute_type}. {_REAL}: its weights and recorded speech. Others: random weights, noise,"
    )
    print(f"{TOKENS_PER_S:g} tokens per second of audio whatever the model says: throughput only, no text.")
    figures: list[Row] = []
    streams: list[Row] = []
    for name in (_REAL,) if quick else models:
        found = _sweep_model(name, sweep)
        rows = [_cost_row(name, cost) for cost in found]
        show_lines(f"{name}: milliseconds per window, and windows per second of all executors", rows)
        figures += rows
        streams += _streams_rows(name, found, talk)
    show_lines("streams with finals within 1 s of the end of speech (p95), and with partials within 1 s too", streams)
    print(f"people as benchmarks/gpu_streams.py has them; a partial every {partial_every:g} s; finals with beam {beam}")
    feature_s = feature_seconds()
    print(f"beside the GPU, one CPU core computes the features of {1 / feature_s:.0f} finals a second")
    show_json("gpu", {**_settings(sweep), "costs": figures, "streams": streams, "features_s": feature_s})


def _settings(sweep: Sweep) -> dict[str, object]:
    return {name: value for name, value in asdict(sweep).items() if name != "loads"}


def _sweep_model(name: str, sweep: Sweep) -> list[Cost]:
    """All settings of one model. A batch that the device's memory does not hold ends its column."""
    features = recorded() if name == _REAL else noise(SHAPES[name].mel_bands)
    prompt = english_prompt(SHAPES[name])
    found = []
    with _folder(name) as folder:
        for executors in sweep.executors:
            calls = _open(folder, sweep, executors)
            for load in sweep.loads:
                for batch in sweep.batches:
                    try:
                        found.append(
                            measure(
                                calls, load, features, prompt, batch=batch, executors=executors, seconds=sweep.seconds
                            )
                        )
                    except RuntimeError as error:
                        print(f"{name}, {load.name}, {executors} executors: no batch of {batch}: {error}")
                        break
            calls.unload()
    return found


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    if name == _REAL:
        yield resolve(name, cache_dir=default_cache_dir())
        return
    with TemporaryDirectory(prefix="harken-gpu-") as folder:
        write_random_model(Path(folder), SHAPES[name])
        yield Path(folder)


def _open(folder: Path, sweep: Sweep, executors: int) -> WhisperCalls:
    try:
        model = ctranslate2.models.Whisper(
            str(folder),
            device=sweep.device,
            compute_type=sweep.compute_type,
            inter_threads=executors,
            intra_threads=1,
        )
    except (RuntimeError, ValueError) as error:
        raise click.ClickException(f"no model on {sweep.device} as {sweep.compute_type}: {error}") from None
    return WhisperCalls(model)


def _cost_row(name: str, cost: Cost) -> Row:
    return {
        "model": name,
        "window": cost.load.name,
        "executors": cost.executors,
        "batch": cost.batch,
        "encode": 1000 * cost.encode_s,
        "generate": 1000 * cost.generate_s,
        "align": 1000 * cost.align_s,
        "tokens": cost.tokens,
        "windows/s": cost.windows_per_s,
    }


def _streams_rows(name: str, costs: Sequence[Cost], talk: Talk) -> Iterator[Row]:
    for executors in sorted({cost.executors for cost in costs}):
        alike = [cost for cost in costs if cost.executors == executors]
        points = _points(alike)
        if batches := sorted({batch for batch, _ in points["final"]} & {batch for batch, _ in points["partial"]}):
            yield _streams_row(name, alike, talk, batches)


def _streams_row(name: str, costs: Sequence[Cost], talk: Talk, batches: Sequence[int]) -> Row:
    """What one worker holds with so many executors, at its best batch limit for each of the two bounds."""
    finals, finals_batch = best_streams(batches, lambda streams, batch: _waits(costs, talk, streams, batch).final_p95_s)
    both, both_batch = best_streams(batches, lambda streams, batch: max(_waits(costs, talk, streams, batch)))
    return {
        "model": name,
        "executors": costs[0].executors,
        "streams, finals in time": finals,
        "at a batch of": finals_batch,
        "streams, both in time": both,
        "at batch": both_batch,
    }


def _waits(costs: Sequence[Cost], talk: Talk, streams: int, batch: int) -> Waits:
    points = _points(costs)
    limits = PlanLimits(executors=costs[0].executors, final_batch=batch, partial_batch=batch)
    return simulate(streams, lambda kind, windows: call_seconds(points[kind], windows), limits, talk)


def _points(costs: Sequence[Cost]) -> dict[WindowKind, list[tuple[int, float]]]:
    """Batch and seconds of the calls that a worker makes: its finals have the widest beam."""
    beam = max(cost.load.beam_size for cost in costs)
    points: dict[WindowKind, list[tuple[int, float]]] = {"final": [], "partial": []}
    for cost in costs:
        if cost.load.kind == "partial" or cost.load.beam_size == beam:
            points[cost.load.kind].append((cost.batch, cost.call_s))
    return points


if __name__ == "__main__":
    main()
