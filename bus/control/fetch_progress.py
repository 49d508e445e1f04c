"""Progress bars for the model store, on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from bus.runtime.model_store.progress import Progress, Transfer
from bus.runtime.model_store.store import find, resolve


@contextmanager
def bars_on_stderr() -> Iterator[Progress]:
    """A progress callback for `resolve`. Draws nothing before the first transfer; plain lines if stderr is a file."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    tasks: dict[tuple[str, str], TaskID] = {}
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:

        def show(transfer: Transfer) -> None:
            key = (transfer.model, transfer.item)
            if key not in tasks:
                tasks[key] = bars.add_task(f"{transfer.model}: {transfer.item}", total=transfer.total_bytes)
                if not console.is_terminal:
                    console.print(f"fetching {transfer.model}: {transfer.item}")
            bars.update(tasks[key], completed=transfer.done_bytes, total=transfer.total_bytes)

        yield show


def fetch_shown(name: str, *, cache_dir: Path) -> Path:
    """`resolve` with bars. Silent if the model is here already."""
    if (found := find(name, cache_dir=cache_dir)) is not None:
        return found
    with bars_on_stderr() as progress:
        return resolve(name, cache_dir=cache_dir, progress=progress)
