"""`harken up` where others than this machine could reach it, over the stand-ins of its other tests."""

from pathlib import Path

from tests.integration.test_up import Bench


async def test_an_address_that_others_reach_is_refused_without_keys_before_anything_starts(tmp_path: Path) -> None:
    async with Bench(tmp_path).up("--host", "0.0.0.0") as up:
        assert await up.end() == 1
    said = "".join(up.errors)
    assert "without API keys a gateway listens on loopback only" in said
    assert "nats listens" not in said and "Traceback" not in said


async def test_gateways_are_told_what_the_command_was(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.stand_in(
        "stream_gateway/__main__.py",
        "import os\nraise SystemExit('anonymous: ' + os.environ['HARKEN_GATEWAY_ALLOW_ANONYMOUS'])",
    )
    for flags, told in (((), "false"), (("--allow-anonymous",), "true")):
        async with bench.up(*flags) as up:
            assert await up.end() == 1
        assert f"anonymous: {told}" in "".join(up.errors[-4:])
