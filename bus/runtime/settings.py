"""Settings: a frozen dataclass per section, read once from flags and environment, unknown names refused.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class GatewaySettings:
        section: ClassVar[str] = "GATEWAY"
        max_sessions: int = setting(200, help="Sessions accepted before admission answers 503.", minimum=1)

    @click.command()
    @click_options(GatewaySettings)
    @click_options(SharedSettings, "shared")
    def main(settings: GatewaySettings, shared: SharedSettings) -> None: ...

gives `--max-sessions`, or HARKEN_GATEWAY_MAX_SESSIONS in the environment; a flag wins. Only a `__main__` reads the
environment; everything below receives values. Field types: str, int, float, bool, Path, Literal of strings, tuple of
strings (comma-separated), and each of them or None.
"""

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import click

PREFIX = "HARKEN_"
SHARED_SECTION = ""
SECTIONS = (SHARED_SECTION, "GATEWAY", "ASR", "LLM", "CLI", "UP", "NATS")
# Read by the test suite and by clients, and inherited by processes that are started beside them.
_NOT_SETTINGS = frozenset({"HARKEN_SPEECH_DATA", "HARKEN_URL", "HARKEN_API_KEY"})

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Settings(typing.Protocol):
    """A dataclass whose fields come from `setting`."""

    section: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


class UnknownSetting(ValueError):
    """The environment holds a setting that no process knows; the text names it and what it may have meant."""


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting as documentation shows it."""

    environment: str
    flag: str
    default: str
    help: str


def setting(
    default: Any,
    *,
    help: str,
    environment: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A dataclass field with its help text, range (both ends allowed) and, if it is not the derived one, its name."""
    metadata = {"help": help, "environment": environment, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata=metadata)


def environment_name(section: str, field: dataclasses.Field[Any]) -> str:
    """Name of the field's environment variable."""
    own: str | None = field.metadata.get("environment")
    return own or PREFIX + "_".join(filter(None, (section, field.name.upper())))


def describe(settings_class: type[Settings]) -> tuple[SettingLine, ...]:
    """The settings of a class in order, for documentation and its test."""
    return tuple(
        SettingLine(
            environment=environment_name(settings_class.section, field),
            flag=_flag(field),
            default=_shown_default(field.default),
            help=field.metadata["help"],
        )
        for field in dataclasses.fields(settings_class)
    )


def click_options(settings_class: type[Settings], parameter: str = "settings") -> Callable[[_Command], _Command]:
    """Give a click command one option per field, and its function the built settings as `parameter`.

    A value outside its range or type ends the command with click's usage error; so does a ValueError from the class's
    own `__post_init__`.
    """
    fields = dataclasses.fields(settings_class)
    hints = typing.get_type_hints(settings_class)

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            values = {field.name: kwargs.pop(f"{parameter}__{field.name}") for field in fields}
            try:
                kwargs[parameter] = settings_class(**values)
            except ValueError as error:
                raise click.UsageError(str(error)) from None
            return command(*args, **kwargs)

        for field in reversed(fields):  # click lists options from the innermost decorator out
            option = _option(settings_class.section, field, hints[field.name], parameter)
            run = option(run)
        return typing.cast(_Command, run)

    return decorate


def refuse_unknown_environment(section: str, classes: Iterable[type[Settings]], environ: Mapping[str, str]) -> None:
    """Raise UnknownSetting if a HARKEN_ variable of `section`, or of the shared one, is a field of none of `classes`.

    Variables of other sections belong to other processes, which check them.
    """
    known = {
        environment_name(settings_class.section, field)
        for settings_class in classes
        for field in dataclasses.fields(settings_class)
    }
    checked = {section, SHARED_SECTION}
    unknown = sorted(
        name
        for name in environ
        if name.startswith(PREFIX) and name not in known | _NOT_SETTINGS and _section_of(name) in checked
    )
    if unknown:
        raise UnknownSetting("; ".join(_unknown_text(name, known) for name in unknown))


def _section_of(name: str) -> str:
    head = name.removeprefix(PREFIX).partition("_")[0]
    return head if head in SECTIONS else SHARED_SECTION


def _unknown_text(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"unknown setting {name}" + (f": did you mean {close[0]}?" if close else "")


def _flag(field: dataclasses.Field[Any]) -> str:
    return "--" + field.name.replace("_", "-")


def _shown_default(default: Any) -> str:
    match default:
        case None:
            return ""
        case bool():
            return "yes" if default else "no"
        case tuple():
            return ",".join(default)
        case _:
            return str(default)


def _option(section: str, field: dataclasses.Field[Any], hint: Any, parameter: str) -> Callable[[Any], Any]:
    flag, plain = _flag(field), _without_none(hint)
    return click.option(
        f"{flag}/--no-{flag.removeprefix('--')}" if plain is bool else flag,
        f"{parameter}__{field.name}",
        type=_parameter_type(plain, field),
        default=_shown_default(field.default) if isinstance(field.default, tuple) else field.default,
        envvar=environment_name(section, field),
        show_envvar=True,
        show_default=True,
        help=field.metadata["help"],
    )


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        rest = [part for part in typing.get_args(hint) if part is not types.NoneType]
        if len(rest) == 1:
            return rest[0]
    return hint


def _parameter_type(hint: Any, field: dataclasses.Field[Any]) -> click.ParamType[Any]:
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    if hint is bool:
        return click.BOOL
    if hint is int:
        return click.IntRange(minimum, maximum)
    if hint is float:
        return click.FloatRange(minimum, maximum)
    if hint is str:
        return click.STRING
    if hint is Path:
        return _UserPath()
    if typing.get_origin(hint) is Literal:
        return click.Choice(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return _CommaSeparated()
    raise TypeError(f"setting {field.name} has a type that no flag can hold")


class _UserPath(click.ParamType[Path]):
    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        return Path(value).expanduser()


class _CommaSeparated(click.ParamType[tuple[str, ...]]):
    name = "a,b,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(part.strip() for part in str(value).split(",") if part.strip())
