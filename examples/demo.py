"""The whole service on this machine, shown on two recordings: what `make demo` runs.

Fetches the weights if they are missing, starts `harken up` on a free port with a temporary store, streams a recording
in real time through a WebSocket as any client would, shows the transcript as it grows, asks the assistant a spoken
question, shows its answer as it comes, and stops everything again.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT

ROOT = Path(__file__).parents[1]
RECORDING = ROOT / "samples" / "austen.flac"
QUESTION = ROOT / "samples" / "question.flac"
ASK = str(ROOT / "examples" / "ask_by_voice.py")
HARKEN = str(Path(sys.executable).with_name("harken"))
STOP_TIMEOUT_S = 90.0
EXIT_INTERRUPTED = 130


class DemoFailed(Exception):
    """One of the commands failed; the text says which, and what it said."""


def main() -> int:
    """Run the demo; the exit status is 0 only if every process ended well."""
    try:
        run([HARKEN, "models", "pull"])
        print("starting nats-server, a gateway and two workers ...", flush=True)
        with service() as url:
            print(f"streaming {RECORDING.name} to {url} in real time\n", flush=True)
            run([HARKEN, "transcribe", "--realtime", "--stats", "--url", url, str(RECORDING)])
            print(f"\nasking the assistant what {QUESTION.name} says, in the same service\n", flush=True)
            run([sys.executable, ASK, "--url", url, str(QUESTION)])
    except DemoFailed as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def run(command: list[str]) -> None:
    """Run one command in the foreground."""
    status = subprocess.run(command, check=False).returncode
    if status != 0:
        raise DemoFailed(f"{' '.join(command[1:])} ended with status {status}")


@contextmanager
def service() -> Iterator[str]:
    """`harken up` for as long as the block lasts; gives its WebSocket URL."""
    with tempfile.TemporaryDirectory(prefix="harken-demo-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as log_file:
            up = subprocess.Popen(
                [HARKEN, "up", "--port", "0", "--data-dir", folder],
                stdout=subprocess.PIPE,
                stderr=log_file,
                text=True,
                # A group of its own: Ctrl-C reaches the demo alone, which then stops the service in order.
                process_group=0,
            )
        with up:
            try:
                yield wait_until_ready(up, log)
            finally:
                stop(up)
        if up.returncode != 0:
            raise DemoFailed(f"harken up ended with status {up.returncode}:\n{log.read_text()}")


def wait_until_ready(up: subprocess.Popen[str], log: Path) -> str:
    """The URL from the one line that `harken up` prints when it is ready."""
    assert up.stdout is not None
    line = up.stdout.readline()
    match = re.search(r"wss?://\S+", line)
    if match is None:
        up.wait()
        raise DemoFailed(f"harken up did not become ready:\n{log.read_text()}")
    return match[0]


def stop(up: subprocess.Popen[str]) -> None:
    """Ctrl-C, as a person would; force if that takes too long, or if the person asks again."""
    up.send_signal(SIGINT)
    try:
        up.wait(STOP_TIMEOUT_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        up.send_signal(SIGINT)


if __name__ == "__main__":
    sys.exit(main())
