"""From the bytes of a stream of server-sent events to the data of each. Pure.

Only `data` is looked at. What httpx offers decodes the text first and makes an object of each event; a token is one
event, and tokens are what a worker spends its time on.
"""

MAX_EVENT_BYTES = 1024 * 1024
"""Of one event, and so of what is kept of one that is not complete."""


class EventTooLong(Exception):
    """The event that comes is longer than `MAX_EVENT_BYTES`."""


class EventStream:
    """Feed it what comes, in order. An event that the end of the stream cuts off is none."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        """A line that is not complete."""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_return = False
        """The last byte was a carriage return: a line ends there, and a line feed after it ends no other."""

    def feed(self, received: bytes) -> list[bytes]:
        """The data of the events that are now complete, without empty ones. Raises EventTooLong."""
        if self._after_return and received.startswith(b"\n"):
            received = received[1:]
            self._after_return = False
        if received:
            self._after_return = received.endswith(b"\r")
        if b"\r" in received:
            received = received.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events = []
        *lines, self._rest = (self._rest + received).split(b"\n")
        for line in lines:
            if line:
                self._on_line(line)
            elif self._data:
                if data := b"\n".join(self._data):
                    events.append(data)
                self._data.clear()
                self._data_bytes = 0
        self._check_bytes(len(self._rest))
        return events

    def _on_line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._data_bytes += len(line)
            self._check_bytes(0)

    def _check_bytes(self, rest_bytes: int) -> None:
        if self._data_bytes + rest_bytes > self._max_event_bytes:
            raise EventTooLong
