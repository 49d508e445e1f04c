"""The systems that are compared: how each is started, with which settings, and how a client speaks to it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks.peers.environments import WHISPER_LIVE, WHISPER_LIVE_KIT, Release, prepare
from benchmarks.peers.messages import read_whisper_live, read_whisper_live_kit
from benchmarks.peers.observed import Observed
from benchmarks.peers.processes import HOST, Command, serving
from benchmarks.peers.settled import texts_of
from benchmarks.peers.socket_client import PATIENCE_S, Dialect, play_socket
from benchmarks.playback import play
from benchmarks.recordings import Recording
from benchmarks.service import service

_ALL_SEGMENTS = 10_000
_QUIET_S = 15.0
"""WhisperLive's own client waits so long without new text before it says that there is no more audio."""
_QUIET_AMONG_OTHERS_S = 30.0
"""Where sessions take turns, more than a turn."""

Play = Callable[[Recording], Awaitable[Observed]]


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to run a system."""

    threads: int = 0
    """Of one decode; 0 leaves it to the system."""
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        threads = [f"{self.threads} threads" if self.threads > 1 else "1 thread"] if self.threads else []
        return " ".join([*threads, *self.flags]) or "as shipped"


@dataclass(frozen=True, slots=True)
class Started:
    """What every system is started on."""

    model: Path
    """A folder with CTranslate2 weights."""
    environments: Path
    sessions: int
    """How many will play at once."""


@dataclass(frozen=True, slots=True)
class System:
    """A system and the settings worth trying; the first one is what it is without a sweep."""

    name: str
    settings: tuple[Setting, ...]
    run: Callable[[Setting, Started], AbstractAsyncContextManager[Play]]
    release: Release | None = field(default=None)


@asynccontextmanager
async def _harken(setting: Setting, started: Started) -> AsyncIterator[Play]:
    async with service(None, *setting.flags) as (url, _):

        async def play_one(recording: Recording) -> Observed:
            pcm = await asyncio.to_thread(recording.pcm)
            played = await play(url, pcm, speed=1.0, language=recording.language, patience_s=PATIENCE_S)
            return Observed(texts_of(played.events), played.error, played)

        yield play_one


@asynccontextmanager
async def _peer(command: Command, dialect_of: Callable[[int, Recording], Dialect]) -> AsyncIterator[Play]:
    with tempfile.TemporaryDirectory() as folder:
        async with serving(command, Path(folder)) as port:

            async def play_one(recording: Recording) -> Observed:
                pcm = await asyncio.to_thread(recording.pcm)
                return await play_socket(dialect_of(port, recording), pcm)

            yield play_one


def _whisper_live(sharing: str) -> Callable[[Setting, Started], AbstractAsyncContextManager[Play]]:
    def run(setting: Setting, started: Started) -> AbstractAsyncContextManager[Play]:
        python = prepare(WHISPER_LIVE, started.environments)
        script = Path(__file__).with_name("whisper_live_server.py")
        arguments = [str(python), str(script), "--port", "{port}", "--model", str(started.model), "--sharing", sharing]
        quiet_s = _QUIET_S if started.sessions == 1 else _QUIET_AMONG_OTHERS_S

        def dialect(port: int, recording: Recording) -> Dialect:
            options = {
                "uid": "benchmark",
                "language": recording.language,
                "task": "transcribe",
                "model": "base",
                "use_vad": True,
                "audio_format": "int16",
                "send_last_n_segments": _ALL_SEGMENTS,
            }
            opening = msgspec.json.encode(options).decode()
            return Dialect(f"ws://{HOST}:{port}", opening, b"END_OF_AUDIO", read_whisper_live, quiet_s)

        return _peer(Command(arguments, _environment(setting)), dialect)

    return run


def _whisper_live_kit(setting: Setting, started: Started) -> AbstractAsyncContextManager[Play]:
    python = prepare(WHISPER_LIVE_KIT, started.environments)
    arguments = [
        *(str(python), "-m", "whisperlivekit.basic_server", "--host", HOST, "--port", "{port}", "--pcm-input"),
        *("--backend", "faster-whisper", "--backend-policy", "localagreement", "--model_dir", str(started.model)),
        *("--lan", "en", "--warmup-file", "", "--log-level", "ERROR", *setting.flags),
    ]

    def dialect(port: int, recording: Recording) -> Dialect:
        url = f"ws://{HOST}:{port}/asr?language={recording.language}"
        return Dialect(url, None, b"", read_whisper_live_kit, None)

    return _peer(Command(arguments, _environment(setting)), dialect)


def _environment(setting: Setting) -> Mapping[str, str]:
    """Both leave the threads of a decode to CTranslate2, which asks OpenMP, and neither may look for weights online."""
    return {"OMP_NUM_THREADS": str(setting.threads), "HF_HUB_OFFLINE": "1"}


_THREADS = (Setting(threads=2), Setting(threads=1))
SYSTEMS: Mapping[str, System] = {
    one.name: one
    for one in (
        System("harken", (Setting(),), _harken),
        System("whisperlive", _THREADS, _whisper_live("own"), WHISPER_LIVE),
        System("whisperlive-shared", _THREADS, _whisper_live("shared"), WHISPER_LIVE),
        System("whisperlive-batch", _THREADS, _whisper_live("batch"), WHISPER_LIVE),
        System(
            "whisperlivekit",
            (*_THREADS, Setting(threads=2, flags=("--confidence-validation",))),
            _whisper_live_kit,
            WHISPER_LIVE_KIT,
        ),
    )
}
