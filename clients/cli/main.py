"""The `harken` command: a group that loads each command only when it runs.

Commands register as entry points of group `harken.commands`, so this package imports no service and
`harken --help` imports no command: the short help is read from the source without running it.
"""

import ast
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

ENTRY_POINT_GROUP = "harken.commands"
DISTRIBUTION = "harken"


class LazyGroup(click.Group):
    """Click group over a table of `name -> "module:attribute"`; a module is imported when its command is used."""

    def __init__(self, targets: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        self._targets = dict(targets)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in alphabetical order."""
        return sorted(self._targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and give the command; None if there is none of that name.

        Raises ClickException, which names what is missing, if the import fails.
        """
        target = self._targets.get(cmd_name)
        return None if target is None else load_command(cmd_name, target)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List all commands with their short help, importing none of them."""
        rows = [(name, short_help(self._targets[name])) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def registered_commands() -> dict[str, str]:
    """Give all commands of installed packages, as `name -> "module:attribute"`."""
    return {entry.name: entry.value for entry in entry_points(group=ENTRY_POINT_GROUP)}


def load_command(name: str, target: str) -> click.Command:
    """Import `module:attribute`; ClickException if that fails or is no click command."""
    module_name, _, attribute = target.partition(":")
    try:
        command = getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError, OSError) as error:
        raise click.ClickException(
            f"the command {name!r} cannot be loaded: {error}. Is the installation complete? Try: pip install harken"
        ) from error
    if not isinstance(command, click.Command):
        raise click.ClickException(f"the command {name!r} cannot be loaded: {target} is not a command")
    return command


def short_help(target: str) -> str:
    """Give the first sentence of the command's docstring, read from its source; empty if there is none."""
    module_name, _, attribute = target.partition(":")
    try:
        spec = find_spec(module_name)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec is not None and spec.origin else ""
        body = ast.parse(source).body
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == attribute:
            paragraph = (ast.get_docstring(node) or "").split("\n\n")[0]
            return " ".join(paragraph.split()).split(". ")[0].rstrip(".")
    return ""


def installed_version() -> str:
    """Give the version of the installed distribution; `unknown` in a bare checkout."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def build_group(targets: Mapping[str, str]) -> LazyGroup:
    """Make the top group over the given commands."""
    group = LazyGroup(
        targets,
        name="harken",
        help="Live speech and chat: run the service, stream audio to it, talk with it, look after its models.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    return click.version_option(installed_version(), prog_name="harken")(group)


def main() -> None:
    """Run `harken` with the arguments of this process; exits with its status."""
    build_group(registered_commands())(prog_name="harken")


if __name__ == "__main__":
    main()
