"""`harken restart`: replace every process of a running `harken up`, one by one."""

import asyncio
from pathlib import Path

import click

from bus.control.control_socket import NotRunning, ask_restart, socket_path
from bus.control.data_dir import default_data_dir


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="HARKEN_UP_DATA_DIR",
    help="Where harken up keeps its data, if it was told.",
)
def restart(data_dir: Path | None) -> None:
    """Restart the running service without an interruption.

    Every gateway and worker of the harken up that runs here is replaced: a new process starts first, with the code and
    the models that are installed now, and once it serves the old one ends, as its sessions have moved. Ends when all
    are new, or with exit status 1 and the rest as it was when one of them cannot serve.
    """
    path = socket_path((data_dir or default_data_dir()).absolute())
    try:
        failed = asyncio.run(ask_restart(path, click.echo))
    except NotRunning as error:
        raise click.ClickException(f"{error}. Is it running, with this --data-dir?") from None
    if failed is not None:
        raise click.ClickException(failed)
