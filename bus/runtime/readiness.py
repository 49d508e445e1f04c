"""Tell whoever started this process that it serves: the protocol of systemd (`sd_notify`), which `harken up` hears too.

The starter names a datagram socket in NOTIFY_SOCKET: a path, or after an `@` a name of Linux' abstract namespace.
"""

import logging
import socket

ENVIRONMENT = "NOTIFY_SOCKET"
READY = b"READY=1"
_log = logging.getLogger(__name__)


def tell_ready(address: str | None) -> None:
    """Say it once, at `address`; None or empty if nobody asked. Never raises and never blocks."""
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
            notifying.setblocking(False)
            notifying.sendto(READY, name)
    except OSError as error:
        _log.warning("the process that started this one does not hear that it is ready", extra={"error": str(error)})
