"""TLS as an operator sets it up: files, what is said about bad ones, and a certificate renewed under open sessions."""

import asyncio
import os
import shutil
import signal
import ssl
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from bus.control.probes import http_get
from clients.failures import CannotConnect
from clients.sdk import connect as connect_sdk
from tests.certificates import Pair, believing, encrypted, make_pair
from tests.integration.conftest import Launch, ServiceProcess
from tests.integration.gateway_client import SAMPLE

pytestmark = pytest.mark.weights
_WITHIN_S = 60.0


def files(pair: Pair) -> dict[str, str]:
    return {"HARKEN_GATEWAY_TLS_CERT": str(pair.cert), "HARKEN_GATEWAY_TLS_KEY": str(pair.key)}


async def dial(gateway: ServiceProcess, *known: Pair) -> ClientConnection:
    return await connect(f"wss://127.0.0.1:{gateway.port}/v1/stream", ssl=believing(*known), proxy=None)


def replace(old: Pair, new: Pair) -> None:
    shutil.copy(new.cert, old.cert)
    shutil.copy(new.key, old.key)


async def test_a_certificate_is_renewed_on_sighup_and_a_bad_one_is_not(launch_gateway: Launch, tmp_path: Path) -> None:
    one, two, used = (make_pair(tmp_path, name) for name in ("one", "two", "used"))
    replace(used, one)
    gateway = await launch_gateway(**files(used))
    open_since_before = await dial(gateway, one)

    shutil.copy(two.cert, used.cert)
    gateway.process.send_signal(signal.SIGHUP)
    reason = (await gateway.logged("certificate not renewed, the one before stays"))["reason"]
    assert "does not belong to the first certificate" in reason
    await (await dial(gateway, one)).close()

    replace(used, two)
    gateway.process.send_signal(signal.SIGHUP)
    await gateway.logged("certificate renewed")
    await (await dial(gateway, two)).close()
    with pytest.raises(ssl.SSLCertVerificationError):
        await dial(gateway, one)

    await asyncio.wait_for(await open_since_before.ping(), _WITHIN_S)
    await open_since_before.close()
    assert await gateway.stop(signal.SIGTERM) == 0


async def test_the_command_line_and_the_sdk_speak_to_it_once_they_know_the_authority(
    launch_gateway: Launch, launch_worker: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_pair(tmp_path, "private")
    gateway = await launch_gateway(**files(pair))
    await launch_worker()
    async with asyncio.timeout(_WITHIN_S):
        while (await http_get("127.0.0.1", gateway.port, "/readyz", tls=True)).status != 200:
            pass
    url = f"https://localhost:{gateway.port}"
    with pytest.raises(CannotConnect, match="certificate verify failed"):
        async with connect_sdk(url):
            pass

    monkeypatch.setenv("SSL_CERT_FILE", str(pair.cert))
    async with connect_sdk(url) as session:
        assert session.started.limits.max_frame_bytes == 1_048_576
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "clients.cli.main", "transcribe", str(SAMPLE), "--url", url),
        env={**os.environ, "SSL_CERT_FILE": str(pair.cert)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), _WITHIN_S)
    assert process.returncode == 0
    assert output


async def test_files_that_cannot_serve_end_the_process_with_a_text_that_says_why(
    silero_path: Path, tmp_path: Path
) -> None:
    pair = make_pair(tmp_path, "one")
    wanted = {
        ("--tls-cert", str(pair.cert)): "--tls-cert is given without --tls-key",
        ("--tls-cert", str(pair.cert), "--tls-key", str(tmp_path / "none")): "cannot be read: No such file",
        ("--tls-cert", str(pair.cert), "--tls-key", str(encrypted(pair.key))): "is encrypted",
    }
    for flags, text in wanted.items():
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream_gateway", *flags), stderr=asyncio.subprocess.PIPE
        )
        _, said = await asyncio.wait_for(process.communicate(), _WITHIN_S)
        assert process.returncode in (1, 2)
        assert text in " ".join(said.decode().split())
        assert "Traceback" not in said.decode()
