from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import click
import pytest
from click.testing import CliRunner, Result

from bus.runtime.settings import UnknownSetting, click_options, describe, refuse_unknown_environment, setting
from bus.runtime.shared_settings import SharedSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    section: ClassVar[str] = "GATEWAY"
    max_sessions: int = setting(200, help="Sessions at most.", minimum=1, maximum=1000)
    endpoint_s: float = setting(0.5, help="Silence that ends an utterance.", minimum=0.2)
    reuse_port: bool = setting(False, help="Share the port.")
    engine: Literal["whisper", "scripted"] = setting("whisper", help="Engine.")
    keys: tuple[str, ...] = setting(("a", "b"), help="Accepted keys.")
    key_file: Path | None = setting(None, help="File of keys.")
    name: str = setting("gw", help="Name.")

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise ValueError("that name is taken")


def test_without_flags_or_environment_the_defaults_hold() -> None:
    assert _parse() == GatewaySettings()


def test_every_type_comes_in_by_environment() -> None:
    assert _parse(
        environ={
            "HARKEN_GATEWAY_MAX_SESSIONS": "7",
            "HARKEN_GATEWAY_ENDPOINT_S": "0.75",
            "HARKEN_GATEWAY_REUSE_PORT": "true",
            "HARKEN_GATEWAY_ENGINE": "scripted",
            "HARKEN_GATEWAY_KEYS": "x, y,,z",
            "HARKEN_GATEWAY_KEY_FILE": "/keys",
            "HARKEN_GATEWAY_NAME": "g1",
        }
    ) == GatewaySettings(
        max_sessions=7,
        endpoint_s=0.75,
        reuse_port=True,
        engine="scripted",
        keys=("x", "y", "z"),
        key_file=Path("/keys"),
        name="g1",
    )


def test_a_flag_wins_over_the_environment() -> None:
    settings = _parse("--max-sessions", "3", "--no-reuse-port", environ={"HARKEN_GATEWAY_MAX_SESSIONS": "7"})
    assert (settings.max_sessions, settings.reuse_port) == (3, False)


def test_a_home_directory_is_expanded() -> None:
    assert _parse("--key-file", "~/keys").key_file == Path.home() / "keys"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--max-sessions", "0"), "--max-sessions"),
        (("--max-sessions", "many"), "--max-sessions"),
        (("--endpoint-s", "0.1"), "--endpoint-s"),
        (("--engine", "magic"), "--engine"),
        (("--name", "forbidden"), "that name is taken"),
        (("--max-sesions", "1"), "--max-sessions"),
    ],
)
def test_a_wrong_value_ends_with_a_usage_error_that_names_it(arguments: tuple[str, ...], named: str) -> None:
    result = _run(*arguments)
    assert result.exit_code == 2
    assert named in result.output


def test_help_lists_flag_environment_and_default() -> None:
    text = " ".join(_run("--help").output.split())
    assert "--max-sessions" in text
    assert "HARKEN_GATEWAY_MAX_SESSIONS; default: 200; 1<=x<=1000" in text
    assert text.index("--max-sessions") < text.index("--endpoint-s") < text.index("--name")


def test_two_classes_give_two_parameters() -> None:
    seen: dict[str, Any] = {}

    @click.command()
    @click_options(GatewaySettings)
    @click_options(SharedSettings, "shared")
    def main(settings: GatewaySettings, shared: SharedSettings) -> None:
        seen.update(settings=settings, shared=shared)

    result = CliRunner().invoke(
        main, ["--log-level", "debug"], env={"NATS_URL": "nats://elsewhere:1", "HARKEN_CACHE_DIR": None}
    )
    assert result.exit_code == 0
    assert seen["settings"] == GatewaySettings()
    assert seen["shared"] == SharedSettings(log_level="debug", nats_url="nats://elsewhere:1")


def test_a_malformed_nats_url_is_a_usage_error_that_does_not_show_it() -> None:
    command = click.command()(click_options(SharedSettings, "shared")(lambda shared: None))
    result = CliRunner().invoke(command, env={"NATS_URL": "nats://svc:s3c/ret@nats:4222"})
    assert result.exit_code == 2
    assert "percent-encode the password" in result.output
    assert "s3c" not in result.output


def test_a_type_that_no_flag_can_hold_is_a_fault_of_the_class() -> None:
    @dataclass(frozen=True)
    class Odd:
        section: ClassVar[str] = "CLI"
        table: dict[str, int] = setting({}.copy, help="?")

    with pytest.raises(TypeError, match="setting table"):
        click_options(Odd)(lambda settings: None)


def test_the_description_has_one_line_per_setting() -> None:
    lines = {line.environment: line for line in describe(GatewaySettings)}
    assert lines["HARKEN_GATEWAY_KEYS"].default == "a,b"
    assert lines["HARKEN_GATEWAY_REUSE_PORT"].default == "no"
    assert lines["HARKEN_GATEWAY_KEY_FILE"].default == ""
    assert lines["HARKEN_GATEWAY_MAX_SESSIONS"].flag == "--max-sessions"
    assert [line.environment for line in describe(SharedSettings)][0] == "NATS_URL"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HARKEN_GATEWAY_MAX_SESSIONS": "1", "HARKEN_LOG_LEVEL": "info", "NATS_URL": "x"},
        {"HARKEN_ASR_WHATEVER": "another process's to check"},
        {"HARKEN_SPEECH_DATA": "the tests' own"},
        {"OTHER": "1"},
    ],
)
def test_known_names_and_those_of_other_processes_pass(environ: Mapping[str, str]) -> None:
    refuse_unknown_environment("GATEWAY", (GatewaySettings, SharedSettings), environ)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("HARKEN_GATEWAY_MAX_SESION", "HARKEN_GATEWAY_MAX_SESSIONS"),
        ("HARKEN_LOG_LEVLE", "HARKEN_LOG_LEVEL"),
        ("HARKEN_GATWAY_MAX_SESSIONS", "HARKEN_GATEWAY_MAX_SESSIONS"),
    ],
)
def test_a_misspelt_name_is_refused_with_a_suggestion(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownSetting, match=f"{name}: did you mean {suggestion}"):
        refuse_unknown_environment("GATEWAY", (GatewaySettings, SharedSettings), {name: "1"})


def test_a_name_like_no_other_is_refused_without_a_suggestion_or_its_value() -> None:
    with pytest.raises(UnknownSetting) as caught:
        refuse_unknown_environment("GATEWAY", (GatewaySettings,), {"HARKEN_ZZZZ": "secret"})
    assert str(caught.value) == "unknown setting HARKEN_ZZZZ"


def _command(seen: Callable[[GatewaySettings], None]) -> click.Command:
    @click.command()
    @click_options(GatewaySettings)
    def main(settings: GatewaySettings) -> None:
        seen(settings)

    return main


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(_command(lambda settings: None), arguments, terminal_width=200)


def _parse(*arguments: str, environ: Mapping[str, str] | None = None) -> GatewaySettings:
    seen: list[GatewaySettings] = []
    result = CliRunner().invoke(_command(seen.append), arguments, env=environ)
    assert result.exit_code == 0, result.output
    return seen[0]
