"""`harken models`: see, fetch and find model files."""

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bus.control.fetch_progress import fetch_shown
from bus.runtime.model_store.catalogue import MODELS, SILERO_VAD, SMOLLM2, WHISPER_BASE, Model
from bus.runtime.model_store.errors import ModelStoreError
from bus.runtime.model_store.store import default_cache_dir, find

_cache_dir = click.option(
    "--cache-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="HARKEN_CACHE_DIR",
    show_envvar=True,
    default=default_cache_dir,
    help="Where model files are kept; default: harken below the user's cache folder.",
)


@click.group()
def models() -> None:
    """List, fetch and find model files."""


@models.command("list")
@_cache_dir
def list_(cache_dir: Path) -> None:
    """Show the models that have a name, and which of them are here."""
    table = Table("name", "also", "what", "size", "from", "here", box=None, pad_edge=False)
    for model in MODELS:
        here = find(model.name, cache_dir=cache_dir) is not None
        table.add_row(
            model.name, ", ".join(model.aliases), model.about, _size(model), _sources(model), "yes" if here else ""
        )
    Console().print(table)


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_cache_dir
def pull(names: tuple[str, ...], cache_dir: Path) -> None:
    """Fetch models into the cache; without a name, those that `harken up` needs."""
    for name in names or (WHISPER_BASE.name, SILERO_VAD.name, SMOLLM2.name):
        try:
            path = fetch_shown(name, cache_dir=cache_dir)
        except ModelStoreError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{name} is in {path}", err=True)


@models.command()
@click.argument("name")
@_cache_dir
def path(name: str, cache_dir: Path) -> None:
    """Print where a model is; exit status 1 if it is not here."""
    try:
        found = find(name, cache_dir=cache_dir)
    except ModelStoreError as error:
        raise click.ClickException(str(error)) from error
    if found is None:
        raise click.ClickException(f"{name} is not in {cache_dir}. Fetch it with: harken models pull {name}")
    click.echo(found)


def _size(model: Model) -> str:
    return f"{model.size_bytes / 1e6:.0f} MB" if model.size_bytes else ""


def _sources(model: Model) -> str:
    return ", ".join(
        name for name, source in (("hub", model.hub), ("package index", model.index)) if source is not None
    )
