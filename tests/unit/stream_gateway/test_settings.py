import click
from click.testing import CliRunner

from bus.contract import subjects
from bus.runtime.settings import click_options
from bus.transport.assets import AssetLimits, plan_assets
from stream_gateway.settings import GatewaySettings


@click.command()
@click_options(GatewaySettings)
def command(settings: GatewaySettings) -> None:
    click.echo(settings.transcript_retention_s)


def test_transcripts_may_be_kept_no_shorter_than_the_broker_remembers_their_ids() -> None:
    streams = {stream["name"]: stream for stream in plan_assets(pools=[], limits=AssetLimits()).streams}
    transcripts = streams[subjects.STREAM_TRANSCRIPTS]
    window_s = transcripts["duplicate_window"] / 1e9
    assert _exit_code(str(window_s)) == 0
    assert _exit_code(str(window_s - 1)) == 2


def _exit_code(retention_s: str) -> int:
    return CliRunner().invoke(command, env={"HARKEN_GATEWAY_TRANSCRIPT_RETENTION_S": retention_s}).exit_code


def test_a_certificate_without_its_key_is_no_use() -> None:
    outcome = CliRunner().invoke(command, env={"HARKEN_GATEWAY_TLS_CERT": "cert.pem"})
    assert outcome.exit_code == 2
    assert "--tls-cert is given without --tls-key" in outcome.output


def test_without_keys_it_listens_on_loopback_alone_unless_that_is_said() -> None:
    for environment, code in (
        ({}, 0),
        ({"HARKEN_GATEWAY_HOST": "::1"}, 0),
        ({"HARKEN_GATEWAY_HOST": "0.0.0.0"}, 2),
        ({"HARKEN_GATEWAY_HOST": "0.0.0.0", "HARKEN_GATEWAY_API_KEYS": "acme=key"}, 0),
        ({"HARKEN_GATEWAY_HOST": "0.0.0.0", "HARKEN_GATEWAY_ALLOW_ANONYMOUS": "true"}, 0),
    ):
        outcome = CliRunner().invoke(command, env=environment)
        assert outcome.exit_code == code, environment
        assert ("HARKEN_GATEWAY_API_KEYS=tenant=key" in outcome.output) is (code == 2)
