"""`harken up` with a certificate, over the stand-ins of its other tests."""

import signal
from pathlib import Path

import pytest

from tests.certificates import make_pair
from tests.integration.test_up import Bench


@pytest.mark.parametrize("by_flag", [True, False])
async def test_with_a_certificate_gateways_are_probed_and_announced_with_tls(tmp_path: Path, by_flag: bool) -> None:
    bench = Bench(tmp_path)
    pair = make_pair(bench.folder, "private")
    flags = ("--tls-cert", str(pair.cert), "--tls-key", str(pair.key)) if by_flag else ()
    environ = {"HARKEN_GATEWAY_TLS_CERT": str(pair.cert), "HARKEN_GATEWAY_TLS_KEY": str(pair.key)}
    async with bench.up(*flags, environ=None if by_flag else environ) as up:
        url = f"127.0.0.1:{bench.port}"
        assert (await up.ready_line()).startswith(f"harken is ready: wss://{url}/v1/stream  https://{url}/  nats://")
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0


async def test_a_certificate_with_which_no_gateway_would_start_is_refused_before_anything_does(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    one, two = make_pair(bench.folder, "one"), make_pair(bench.folder, "two")
    wanted = {
        ("--tls-cert", str(one.cert)): "--tls-cert is given without --tls-key",
        ("--tls-cert", str(one.cert), "--tls-key", str(two.key)): "does not belong to the first certificate",
    }
    for flags, text in wanted.items():
        async with bench.up(*flags) as up:
            assert await up.end() in (1, 2)
        said = "".join(up.errors)
        assert text in " ".join(said.split())
        assert "listens" not in said and "Traceback" not in said
