"""Virtual environments of the peers: the pinned release, and only what its server needs to transcribe on a CPU.

A peer's own requirements are not followed: they drag in GPU libraries, a microphone library that has to be compiled,
and other back ends. What is listed here is what its server imports on the path that is measured. The inference library
is the release that this project runs, so that no system owes its speed to another version of it.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

TORCH = "torch==2.13.0"
"""Both use it for a few arrays around voice activity detection; the build for CPUs does. pip's own settings say where
from (on Linux the package index has only the one for GPUs: `PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu`)."""


@dataclass(frozen=True, slots=True)
class Release:
    """A peer as it was published."""

    name: str
    version: str
    needs: tuple[str, ...]


WHISPER_LIVE = Release(
    "whisper-live",
    "0.10.0",
    tuple(
        f"{TORCH} faster-whisper==1.2.0 requests fastapi uvicorn python-multipart websockets scipy av numpy<2.5".split()
    ),
)
WHISPER_LIVE_KIT = Release(
    "whisperlivekit",
    "0.2.26",
    tuple(
        f"{TORCH} faster-whisper>=1.2.0 fastapi>=0.141.1 starlette>=1.3.1 python-multipart>=0.0.31 uvicorn websockets"
        " librosa soundfile tiktoken tqdm huggingface-hub>=0.25.0".split()
    ),
)


def prepare(release: Release, folder: Path) -> Path:
    """The Python of an environment in `folder` that has the release; one that is complete is used as it is.

    Blocking, minutes the first time. Safe to interrupt: what was left half-made is made anew. Raises RuntimeError with
    the end of pip's own words.
    """
    home = folder / f"{release.name}-{release.version}"
    python, done = home / "bin" / "python", home / "complete"
    wanted = [f"{release.name}=={release.version}", *release.needs, f"ctranslate2=={version('ctranslate2')}"]
    recipe = "\n".join(wanted)
    if done.exists() and done.read_text() == recipe:
        return python
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(home)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--no-deps", wanted[0]])
    _run([*pip, *wanted[1:]])
    done.write_text(recipe)
    return python


def _run(command: list[str]) -> None:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed:\n{result.stdout[-2000:]}")
