"""HTTP to a model server without TLS and without a proxy, where every token is a chunk that is read.

httpx spends a quarter of a millisecond of a slow core on each, in layers for what is not needed here: other event
loops, TLS, connections that are kept. This transport has one connection a request, read by asyncio and parsed by h11;
its errors are httpx's own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import h11
import httpx2

_READ_BYTES = 64 * 1024


class PlainTransport(httpx2.AsyncBaseTransport):
    """For URLs that begin with `http://`. Closing a response closes its connection."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See AsyncBaseTransport. Waits for the head of the response; times out as the request has it."""
        timeouts = request.extensions.get("timeout", {})
        connection = await _connect(request.url, timeouts.get("connect"), timeouts.get("read"))
        try:
            await connection.send(request)
            head = await connection.head()
        except BaseException:
            connection.close()
            raise
        return httpx2.Response(head.status_code, headers=list(head.headers.raw_items()), stream=_Body(connection))


class _Connection:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, read_timeout_s: float | None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._read_timeout_s = read_timeout_s
        self._parser = h11.Connection(h11.CLIENT)

    async def send(self, request: httpx2.Request) -> None:
        fields = [(name, value) for name, value in request.headers.raw if name.lower() != b"connection"]
        fields.append((b"Connection", b"close"))
        try:
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=fields)
            for event in (head, h11.Data(await request.aread()), h11.EndOfMessage()):
                self._writer.write(self._parser.send(event) or b"")
            async with asyncio.timeout(self._read_timeout_s):
                await self._writer.drain()
        except h11.LocalProtocolError:
            raise httpx2.LocalProtocolError("the request cannot be sent") from None
        except TimeoutError:
            raise httpx2.WriteTimeout("the server takes no request") from None
        except OSError as error:
            raise httpx2.WriteError(type(error).__name__) from None

    async def head(self) -> h11.Response:
        while True:  # 1xx may come before
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event

    async def data(self) -> bytes | None:
        """The next of the body, None at its end."""
        event = await self._next_event()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    def close(self) -> None:
        with suppress(OSError):
            self._writer.close()

    async def _next_event(self) -> object:
        try:
            while (event := self._parser.next_event()) is h11.NEED_DATA:
                self._parser.receive_data(await self._read())
        except h11.RemoteProtocolError:
            raise httpx2.RemoteProtocolError("the server broke off, or does not speak HTTP") from None
        return event

    async def _read(self) -> bytes:
        # A timer that only ends the connection: a scope for each read would cost more than the read.
        loop = asyncio.get_running_loop()
        timer = None if self._read_timeout_s is None else loop.call_later(self._read_timeout_s, self._give_up)
        try:
            data = await self._reader.read(_READ_BYTES)
        except OSError as error:
            raise httpx2.ReadError(type(error).__name__) from None
        finally:
            if timer is not None:
                timer.cancel()
        return data

    def _give_up(self) -> None:
        self._reader.set_exception(httpx2.ReadTimeout("the server fell silent"))
        self._writer.transport.abort()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (data := await self._connection.data()) is not None:
            yield data

    async def aclose(self) -> None:
        self._connection.close()


async def _connect(url: httpx2.URL, timeout_s: float | None, read_timeout_s: float | None) -> _Connection:
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(url.host, url.port or 80)
    except TimeoutError:
        raise httpx2.ConnectTimeout("the server does not answer") from None
    except OSError as error:
        raise httpx2.ConnectError(type(error).__name__) from None
    return _Connection(reader, writer, read_timeout_s)
