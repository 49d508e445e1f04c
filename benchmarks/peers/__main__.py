"""Side by side with other live transcription servers: same weights, cores, compute type, recordings and clients.

`python -m benchmarks.peers --help`. One table and one JSON line. Systems run one after another, never at once, each
started afresh for every round, on loopback, and warmed up by a session that does not count.

The peers are WhisperLive 0.10.0 and WhisperLiveKit 0.2.26 from the package index, each in a virtual environment of its
own that is thrown away in the end (`--keep` names a folder to keep them in, for the next run). With all recordings and
rounds it takes more than an hour; `--limit 4` half of that. Their settings are meant to be the best for this job:

* The weights are those that this service runs (Whisper base for CTranslate2), as a local folder; both decode int8 on a
  CPU by themselves. CTranslate2 is the same release everywhere.
* The language is named, as it is to this service: to detect it would cost each of them a decode or 30 s of audio.
* Voice activity detection is on, which is the default of both, and what keeps them from decoding silence.
* Threads of one decode are swept: 1 and 2 with one session, and what settles text first is kept.
* WhisperLive runs in three modes, each a system here: a model for each session (decodes run side by side), one model
  that sessions take in turns (its default), and batches over sessions. Its limits on clients (4, ten minutes, and the
  queue of the batch mode, 0.5 s) are lifted, else it turns away what is to be measured. Its beam is what each mode has
  by default: 5, and 1 in batches.
* WhisperLiveKit runs the LocalAgreement policy on its faster-whisper back end with raw PCM; its confidence validation,
  which shows words sooner, is part of the sweep.
* A session is over when the server says so (WhisperLiveKit), or when nothing new has come for as long as its own client
  would wait (WhisperLive, which drops what it has not shown yet when it is told that the audio has ended), at the
  latest a minute after the audio.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from benchmarks.offline import transcribe_offline
from benchmarks.peers.environments import prepare
from benchmarks.peers.figures import BOUND_S, Round, word_error_rate
from benchmarks.peers.rounds import best_setting, most_sessions, play_list, play_round
from benchmarks.peers.settled import settled
from benchmarks.peers.systems import SYSTEMS, Setting, Started, System
from benchmarks.recordings import DEFAULT_SPEECH, Recording, load, select
from benchmarks.report import Row, show_json, show_lines
from bus.runtime.model_store.store import default_cache_dir, resolve

_DEFAULT = "harken,whisperlive,whisperlive-batch,whisperlivekit"


@click.command()
@click.option("--systems", default=_DEFAULT, show_default=True, help=f"Of {', '.join(SYSTEMS)}.")
@click.option("--sessions", help="Sessions at once, one round each.  [default: 1,2,4,8]")
@click.option("--most", is_flag=True, help=f"Search for the most sessions with final p95 within {BOUND_S:g} s instead.")
@click.option("--highest", type=click.IntRange(1), default=24, show_default=True, help="Where that search ends.")
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Use only the first so many scenario recordings.")
@click.option(
    "--each", type=click.IntRange(1), default=2, show_default=True, help="Recordings that each session plays at least."
)
@click.option("--sweep/--no-sweep", default=True, show_default=True, help="Try all settings of the peers first.")
@click.option(
    "--sweep-limit",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Recordings that each setting is tried on.",
)
@click.option("--quick", is_flag=True, help="Two recordings, one session, no sweep: a look, not a result.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the environments, kept and used again.")
@click.option(
    "--cores", type=click.IntRange(1), default=2, show_default=True, help="Cores that servers and clients share."
)
def main(
    systems: str,
    sessions: str | None,
    most: bool,
    highest: int,
    speech: Path,
    limit: int | None,
    each: int,
    sweep: bool,
    sweep_limit: int,
    quick: bool,
    keep: Path | None,
    cores: int,
) -> None:
    """Compare with WhisperLive and WhisperLiveKit, in real time, on the scenario recordings."""
    try:
        chosen = [SYSTEMS[name] for name in systems.split(",")]
    except KeyError as unknown:
        raise click.BadParameter(f"no system {unknown}", param_hint="--systems") from None
    if quick:
        sessions, limit, sweep = sessions or "1", limit or 2, False
    rounds = _numbers(sessions or "1,2,4,8")
    # Servers live in process groups of their own: however this ends, it must end them. A shell's background jobs are
    # started deaf to SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    recordings = select(load(speech), "scenario")[:limit]
    with ExitStack() as stack:
        folder = keep.resolve() if keep else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for one in chosen:
            if one.release is not None:
                click.echo(f"environment of {one.name}: {prepare(one.release, folder)}", err=True)
        started = Started(resolve("base", cache_dir=default_cache_dir()), folder, 1)
        settings = asyncio.run(_settings(chosen, started, recordings[:sweep_limit], sweep=sweep))
        if most:
            found = asyncio.run(_most(chosen, settings, started, recordings, highest))
        else:
            found = asyncio.run(_table(chosen, settings, started, recordings, rounds, each))
    offline = _offline(recordings)
    print(
        f"\nfaster-whisper offline, greedy, same weights: WER {offline['wer']:.4f}, utterances lost {offline['lost']}"
    )
    show_json(
        "peers",
        {
            "recordings": len(recordings),
            "settings": {k: str(v) for k, v in settings.items()},
            **found,
            "offline": offline,
        },
    )


def _numbers(text: str) -> list[int]:
    numbers = [int(one) if one.strip().isdecimal() else 0 for one in text.split(",")]
    if 0 in numbers:
        raise click.BadParameter("must be numbers from 1 up, separated by commas", param_hint="--sessions")
    return numbers


async def _settings(
    systems: Sequence[System], started: Started, recordings: Sequence[Recording], *, sweep: bool
) -> dict[str, Setting]:
    """What each system runs with from here on."""
    best: dict[str, Setting] = {}
    for system in systems:
        best[system.name] = system.settings[0]
        if sweep and len(system.settings) > 1:
            tried = await best_setting(system, started, recordings)
            best[system.name] = tried[0][0]
            show_lines(
                f"settings of {system.name}, one session, the best first; seconds",
                [{"setting": str(setting), **result.row(system.name, 1)} for setting, result in tried],
            )
    return best


async def _table(
    systems: Sequence[System],
    settings: dict[str, Setting],
    started: Started,
    recordings: Sequence[Recording],
    rounds: Sequence[int],
    each: int,
) -> dict[str, object]:
    rows: list[Row] = []
    failures: list[Row] = []
    for sessions in rounds:
        playing = play_list(recordings, max(len(recordings), each * sessions))
        for system in systems:
            here = Started(started.model, started.environments, sessions)
            result = await play_round(system, settings[system.name], here, playing)
            rows.append(result.row(system.name, sessions))
            failures += [
                {"system": system.name, "sessions": sessions, "recordings": count, "why": reason}
                for reason, count in result.errors.items()
            ]
            _say(system, sessions, result)
    for name, setting in settings.items():
        print(f"{name}: {setting}")
    show_lines("seconds after the true start or end of speech, as a client sees them", rows)
    show_lines("sessions that failed", failures)
    return {"rounds": rows, "failures": failures}


def _say(system: System, sessions: int, result: Round) -> None:
    """A run takes an hour: what is known so far survives its interruption."""
    late = f"final p50 {result.final_p50_s:.2f} p95 {result.final_p95_s:.2f}"
    click.echo(f"{system.name}, {sessions} at once: {late}, {result.lost} of {result.utterances} lost", err=True)


async def _most(
    systems: Sequence[System],
    settings: dict[str, Setting],
    started: Started,
    recordings: Sequence[Recording],
    highest: int,
) -> dict[str, object]:
    held: list[Row] = []
    rows: list[Row] = []
    for system in systems:
        most, played = await most_sessions(
            system, settings[system.name], started.model, started.environments, recordings, highest
        )
        held.append({"system": system.name, "setting": str(settings[system.name]), "most sessions": most})
        rows += [result.row(system.name, sessions) for sessions, result in played]
        click.echo(f"{system.name} holds {most}", err=True)
    show_lines("rounds of the search; seconds", rows)
    show_lines(f"most sessions with final p95 within {BOUND_S:g} s, nothing lost, none failed", held)
    return {"most": held, "rounds": rows}


def _offline(recordings: Sequence[Recording]) -> dict[str, float | int]:
    texts = transcribe_offline(recordings)
    lost = sum(row.lost for one, text in zip(recordings, texts, strict=True) for row in settled(one, [(0.0, text)]))
    return {"wer": word_error_rate(recordings, texts), "lost": lost}


if __name__ == "__main__":
    main()
