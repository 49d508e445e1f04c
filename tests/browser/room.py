"""A room in which something is said, with a microphone for any browser: PulseAudio's.

Firefox has a microphone of its own for tests, but runs no AudioContext on a machine without a sound server.
"""

import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from tests.browser.program import running, said

NO_SOUND = {"PULSE_SERVER": "unix:/nonexistent"}
"""For the environment of a browser: a machine without microphones."""
_PROGRAMS = ("pulseaudio", "paplay")
_DEVICES = (
    "module-null-sink sink_name=loudspeaker rate=44100",
    "module-null-sink sink_name=room rate=16000 channels=1",
    "module-remap-source source_name=microphone master=room.monitor",
)
"""Of two rates, neither of them a multiple of the other."""


class Room:
    """Quiet until somebody speaks."""

    def __init__(self, folder: Path) -> None:
        self.environ = {"PULSE_SERVER": f"unix:{folder}/native"}
        """For a browser that shall listen here."""

    @classmethod
    @asynccontextmanager
    async def to_speak_in(cls) -> AsyncIterator[Self]:
        """Open until the context is left."""
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            devices = (f"module-native-protocol-unix socket={folder}/native auth-anonymous=1", *_DEVICES)
            options = (
                "-n",
                "-v",
                "--use-pid-file=no",
                "--exit-idle-time=-1",
                "--disable-shm=yes",
                "--log-target=stderr",
            )
            load = [part for device in devices for part in ("-L", device)]
            home = {"HOME": folder, "XDG_RUNTIME_DIR": folder}
            async with (
                running("pulseaudio", *options, *load, environ=home, stderr=PIPE) as process,
                said(process.stderr, b"Daemon startup complete"),
            ):
                yield cls(Path(folder))

    async def say(self, spoken: Path) -> None:
        """A WAV file, to its end."""
        async with running("paplay", "--device=room", str(spoken), environ=self.environ) as process:
            assert await process.wait() == 0


def has_sound() -> bool:
    """Whether a room can be had."""
    return all(map(shutil.which, _PROGRAMS))
