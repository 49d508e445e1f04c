"""Who gets in by which key, what strangers are told on each path, and how large frames may be. Real sockets."""

import json
import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

from bus.runtime.tls import reload, server_context
from stream_gateway.dialects import whisper_live
from stream_gateway.dialects.refusals import DEEPGRAM_PATH, OPENAI_PATHS
from stream_gateway.server import FrameLimits
from stream_gateway.session_ids import session_id_of
from stream_gateway.settings import GatewaySettings
from tests.certificates import Pair, believing, make_pair
from tests.integration.front_door import FRAMES, PATHS, Lobby, answer, open_door

REFUSED = tuple(path for path in PATHS if path not in whisper_live.PATHS)
"""Where clients read that there is no room from the answer to their upgrade."""
UPGRADE = (
    b"Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
)


async def dial(
    port: int, path: str, *names: str, tls: ssl.SSLContext | None = None, headers: Mapping[str, str] | None = None
) -> ClientConnection:
    return await connect(
        f"{'wss' if tls else 'ws'}://127.0.0.1:{port}{path}",
        ssl=tls,
        subprotocols=[Subprotocol(name) for name in names] or None,
        additional_headers=headers,
        max_size=None,
        proxy=None,
    )


async def tenant_of(socket: ClientConnection) -> str:
    tenant: str = json.loads(await socket.recv())["tenant"]
    return tenant


async def refused(port: int, path: str, *names: str, headers: Mapping[str, str] | None = None) -> Response:
    with pytest.raises(InvalidStatus) as refusal:
        await dial(port, path, *names, headers=headers)
    return refusal.value.response


def body_of(response: Response) -> Any:
    assert response.body is not None
    return json.loads(response.body)


@pytest.mark.parametrize("path", PATHS)
async def test_a_key_opens_every_path_in_every_way(path: str) -> None:
    async with open_door(Lobby()) as port:
        for name, value in (("Authorization", "Bearer k2"), ("Authorization", "token k2"), ("api-key", "k2")):
            async with await dial(port, path, headers={name: value}) as socket:
                assert await tenant_of(socket) == "globex"
        for names in (("realtime", "openai-insecure-api-key.k2"), ("token", "k2"), ("bearer", "k2")):
            async with await dial(port, path, *names) as socket:
                assert await tenant_of(socket) == "globex"
                assert socket.subprotocol == names[0]
        async with await dial(port, f"{path}?token=k2&model=x") as socket:
            assert await tenant_of(socket) == "globex"


async def test_the_first_source_that_holds_a_key_decides() -> None:
    async with open_door(Lobby()) as port:
        async with await dial(
            port, "/?token=k2", "token", "wrong", headers={"Authorization": "Bearer k1", "api-key": "k2"}
        ) as socket:
            assert await tenant_of(socket) == "acme"
        assert (await refused(port, "/?token=k2", headers={"Authorization": "Bearer wrong"})).status_code == 401
        assert (await refused(port, "/?token=k2", "bearer", "wrong")).status_code == 401


async def test_a_browser_gets_one_of_its_names_back_and_the_dialect_sees_all_but_nobody_repeats_the_key() -> None:
    lobby = Lobby()
    async with open_door(lobby) as port:
        names = ("openai-insecure-api-key.k1", "openai-beta.realtime-v1", "realtime")
        async with await dial(port, "/v1/realtime?model=m", *names) as socket:
            assert socket.subprotocol == "realtime"
            assert socket.response is not None
            assert "k1" not in str(socket.response.headers)
    handshake = lobby.handshakes[-1]
    assert "openai-beta.realtime-v1" in handshake.headers["sec-websocket-protocol"]
    assert handshake.query["model"] == ["m"]
    assert "k1" not in repr(handshake)


async def test_a_name_that_nobody_knows_does_no_harm() -> None:
    async with open_door(Lobby(), keys=False) as port:
        async with await dial(port, "/v1/stream", "chat") as socket:
            assert await tenant_of(socket) == "default"
            assert socket.subprotocol is None
        async with await dial(port, "/", "token", "any key at all".replace(" ", "-")) as socket:
            assert socket.subprotocol == "token"


async def test_names_that_are_none_are_refused_and_not_repeated() -> None:
    async with open_door(Lobby()) as port:
        said = await answer(
            port, b"GET /v1/stream HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Protocol: token, s/ecret\r\n\r\n"
        )
    assert b"400 Bad Request" in said
    assert b'"invalid_message"' in said
    assert b"ecret" not in said


async def test_compression_is_declined() -> None:
    async with open_door(Lobby(), keys=False) as port, await dial(port, "/v1/listen") as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_a_bad_key_is_told_in_the_words_of_the_path() -> None:
    async with open_door(Lobby()) as port:
        for path in OPENAI_PATHS:
            response = await refused(port, path, "realtime", "openai-insecure-api-key.nobody")
            error = body_of(response)["error"]
            assert (response.status_code, error["code"], error["param"]) == (401, "invalid_api_key", None)
        response = await refused(port, "/v1/listen", headers={"Authorization": "Token nobody"})
        body = body_of(response)
        assert (response.status_code, body["err_code"]) == (401, "INVALID_AUTH")
        assert response.headers["dg-request-id"] == body["request_id"]
        for path in ("/v1/stream", "/", "/whisperlive"):
            response = await refused(port, f"{path}?token=nobody")
            assert (response.status_code, body_of(response)["error"]["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("path", REFUSED)
@pytest.mark.parametrize(
    ("lobby", "code", "after_s"), [(Lobby(sessions=1), "overloaded", "5"), (Lobby(draining=True), "draining", "1")]
)
async def test_who_comes_too_late_is_told_before_the_upgrade_when_to_come_again(
    path: str, lobby: Lobby, code: str, after_s: str
) -> None:
    async with open_door(lobby, keys=False) as port:
        response = await refused(port, path)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == after_s
    assert code in (response.body or b"").decode().lower()


async def test_the_tenant_is_known_before_it_is_decided_who_comes_in() -> None:
    lobby = Lobby()
    async with open_door(lobby) as port:
        async with await dial(port, "/v1/stream?token=k1&resume=1"), await dial(port, "/v1/realtime?token=k2&resume=1"):
            pass
    assert lobby.asked == [("acme", True), ("globex", False)]


async def test_an_upgrade_of_deepgrams_clients_tells_the_name_of_the_session() -> None:
    lobby = Lobby()
    async with open_door(lobby, keys=False) as port:
        async with await dial(port, DEEPGRAM_PATH) as named, await dial(port, "/v1/stream") as other:
            assert named.response is not None and other.response is not None
            await named.recv()
            await other.recv()
            names = {session_id_of(socket.id) for socket in lobby.sockets}
    assert named.response.headers["dg-request-id"] in names
    assert "dg-request-id" not in other.response.headers


async def test_who_comes_to_go_on_with_a_session_says_so_and_finds_room_above_the_limit() -> None:
    lobby = Lobby(sessions=1)
    async with open_door(lobby) as port:
        async with await dial(port, "/v1/stream?token=k1&resume=1") as socket:
            assert await tenant_of(socket) == "acme"
        for query in ("token=k2", "token=k2&resume=0", "token=k2&resume="):
            assert (await refused(port, f"/v1/stream?{query}")).status_code == 503
        assert (await refused(port, "/v1/realtime?token=k1&resume=1")).status_code == 503, "there it means nothing"
        assert (await answer(port, b"GET /v1/admission?token=k1 HTTP/1.1\r\nHost: h\r\n\r\n")).startswith(
            b"HTTP/1.1 503 "
        )
    assert lobby.asked == [("acme", True), *[("globex", False)] * 3, ("acme", False), ("acme", False)]


async def test_who_resumes_finds_room_above_the_limit_on_the_path_of_the_protocol_that_can() -> None:
    async with open_door(Lobby(sessions=1), keys=False) as port:
        async with connect(f"ws://127.0.0.1:{port}/v1/stream?resume=1") as socket:
            assert await socket.recv()
        admitted = await answer(port, b"GET /v1/admission?resume=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b" 200 " in admitted.partition(b"\r\n")[0]
        for path in REFUSED:
            query = "resume=2" if path == "/v1/stream" else "resume=1"
            assert (await refused(port, f"{path}?{query}")).status_code == 503
    async with open_door(Lobby(sessions=9), keys=False) as port:
        assert (await refused(port, "/v1/stream?resume=1")).status_code == 503


async def test_plain_http_and_other_paths_are_told_what_is_served() -> None:
    async with open_door(Lobby()) as port:
        for path in PATHS:
            if path == "/":
                continue  # over plain HTTP this is the page
            said = await answer(port, f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert b" 426 " in said
            assert b"Upgrade: websocket" in said
        for path in ("/v2/listen", "/v1", "/v1/realtime/", "//", "/V1/stream", "/%2e"):
            assert (await refused(port, f"{path}?token=k1")).status_code == 404


# The lengths are those of the limits themselves, and one more.
@pytest.mark.parametrize("path", PATHS)
async def test_a_frame_may_have_the_limit_of_its_path_and_no_byte_more(path: str) -> None:
    limit = FRAMES.base64_bytes if path in OPENAI_PATHS else FRAMES.binary_bytes
    async with open_door(Lobby(), keys=False) as port:
        for largest in ("x" * limit, b"x" * limit, ["x" * (limit - 1), "x"]):
            socket = await dial(port, path)
            await tenant_of(socket)
            await socket.send(largest)
            assert await socket.recv() == str(limit)
            await socket.close()
        for too_large in ("x" * (limit + 1), b"x" * (limit + 1), ["x" * limit, "x"]):
            socket = await dial(port, path)
            await tenant_of(socket)
            with pytest.raises(ConnectionClosed):
                await socket.send(too_large)
                await socket.recv()
            assert socket.close_code == 1009


async def test_audio_of_fifteen_mebibytes_fits_into_one_append_by_default() -> None:
    gateway = GatewaySettings()
    frames = FrameLimits(binary_bytes=gateway.max_frame_bytes, base64_bytes=gateway.max_base64_frame_bytes)
    append = 15 * 1024 * 1024 * 4 // 3 + 100
    lobby = Lobby()
    async with open_door(lobby, keys=False, frames=frames) as port:
        async with await dial(port, "/v1/realtime") as socket, await dial(port, "/v1/stream") as native:
            await tenant_of(socket)
            await tenant_of(native)
            await socket.send("A" * append)
            assert await socket.recv() == str(append)
            await native.send(bytes(1_048_576))
            assert await native.recv() == "1048576"
            with pytest.raises(ConnectionClosed):
                await native.send(bytes(1_048_577))
                await native.recv()
            assert native.close_code == 1009
    # Frames that may wait: large ones hardly, or a flood would hold hundreds of megabytes.
    assert [one.recv_messages.high for one in lobby.sockets] == [1, 8]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    folder = tmp_path_factory.mktemp("certificates")
    return make_pair(folder, "one"), make_pair(folder, "two")


async def test_with_a_certificate_the_port_speaks_tls_and_nothing_else(pairs: tuple[Pair, Pair]) -> None:
    one, two = pairs
    async with open_door(Lobby(), tls=server_context(one.cert, one.key)) as port:
        async with await dial(port, "/v1/realtime", "realtime", "openai-insecure-api-key.k1", tls=believing(one)) as s:
            assert await tenant_of(s) == "acme"
        with pytest.raises(ssl.SSLCertVerificationError):
            await dial(port, "/v1/stream", tls=believing(two))
        assert await answer(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
        old = believing(one)
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            await dial(port, "/v1/stream", tls=old)


async def test_a_new_certificate_is_shown_to_new_sockets_and_old_ones_go_on(pairs: tuple[Pair, Pair]) -> None:
    one, two = pairs
    tls = server_context(one.cert, one.key)
    async with open_door(Lobby(), keys=False, tls=tls) as port:
        async with await dial(port, "/v1/stream", tls=believing(one)) as before:
            await tenant_of(before)
            reload(tls, two.cert, two.key)
            async with await dial(port, "/v1/stream", tls=believing(two)) as after:
                await tenant_of(after)
            with pytest.raises(ssl.SSLCertVerificationError):
                await dial(port, "/v1/stream", tls=believing(one))
            await before.send("still here")
            assert await before.recv() == "10"


@contextmanager
def complaints() -> Iterator[list[str]]:
    """What is logged meanwhile as an error, by whomever."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    listener = Listener(logging.WARNING)
    logging.getLogger().addHandler(listener)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(listener)


def visible(raw: bytes) -> bytes:
    """Without what would end the line, or the word."""
    return bytes(byte for byte in raw if byte > 32 and byte != 127)


HEADER_NAMES = st.sampled_from(
    [b"Authorization", b"api-key", b"Sec-WebSocket-Protocol", b"Upgrade", b"Connection", b"Sec-WebSocket-Key"]
    + [b"Sec-WebSocket-Version", b"Sec-WebSocket-Extensions", b"Origin", b"Content-Length", b"OpenAI-Beta", b"X"]
)
HEADER_VALUES = (
    st.sampled_from([b"Bearer k1", b"token, k1", b"realtime, openai-insecure-api-key.k1", b"websocket", b"13", b""])
    | st.binary(max_size=40).map(visible)
    | st.integers(min_value=1000, max_value=10_000).map(lambda size: b"x" * size)
)
HEADER = st.tuples(HEADER_NAMES, HEADER_VALUES)
HEADERS = (
    st.lists(HEADER, max_size=8)
    | HEADER.map(lambda header: [header] * 2)
    | HEADER.map(lambda header: [header] * 140)
    | st.tuples(st.binary(max_size=8), st.binary(max_size=8)).map(lambda header: [header])
)
TARGETS = st.tuples(
    st.sampled_from([path.encode() for path in (*PATHS, "/healthz", "/readyz", "/metrics", "/nowhere", "*", "")]),
    st.sampled_from([b"", b"?token=k1", b"?token=%ff", b"?token=k1&token=k2", b"?" + b"a&" * 3000, b"?&=&;=%", b"\xff"])
    | st.binary(max_size=20).map(lambda query: b"?" + visible(query)),
).map(b"".join)
REQUESTS = st.tuples(
    st.sampled_from([b"GET", b"GET", b"GET", b"GET", b"POST", b"HEAD", b""]),
    TARGETS,
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2"]),
    st.booleans(),
    HEADERS,
)
STATUSES = {101, 200, 400, 401, 404, 405, 414, 426, 431, 505}


@settings(deadline=None, max_examples=250)
@given(request=REQUESTS)
async def test_whatever_is_asked_is_answered_and_never_by_a_fault_of_ours(
    request: tuple[bytes, bytes, bytes, bool, list[tuple[bytes, bytes]]],
) -> None:
    method, target, version, upgrade, headers = request
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    raw = b" ".join((method, target, version)) + b"\r\n" + (UPGRADE if upgrade else b"") + lines + b"\r\n"
    with complaints() as said:
        async with open_door(Lobby()) as port:
            head = (await answer(port, raw)).partition(b"\r\n\r\n")[0]
            if head:  # what is no HTTP is hung up on
                assert int(head.split()[1]) in STATUSES
                assert b"k1" not in head
            async with await dial(port, "/v1/stream?token=k1") as socket:
                assert await tenant_of(socket) == "acme"
    assert said == []


@settings(deadline=None, max_examples=100)
@given(path=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=30))
async def test_a_path_that_nobody_serves_is_404_before_the_upgrade(path: str) -> None:
    if f"/{path}" in (*PATHS, "/healthz", "/readyz", "/metrics"):
        return
    async with open_door(Lobby()) as port:
        said = await answer(port, b"GET /" + path.encode() + b"?token=k1 HTTP/1.1\r\n" + UPGRADE + b"\r\n")
    assert said.startswith(b"HTTP/1.1 404 ")
