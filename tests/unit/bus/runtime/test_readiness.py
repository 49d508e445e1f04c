import socket
from pathlib import Path

import pytest

from bus.runtime.readiness import READY, tell_ready


def test_it_is_said_once_where_the_starter_listens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as starter:
        starter.bind(str(tmp_path / "ready"))
        starter.setblocking(False)
        tell_ready(str(tmp_path / "ready"))
        assert starter.recv(100) == READY
        with pytest.raises(BlockingIOError):
            starter.recv(100)


def test_an_abstract_name_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as starter:
        starter.bind("")  # the kernel chooses one
        address: bytes = starter.getsockname()
        tell_ready("@" + address[1:].decode())
        starter.setblocking(False)
        assert starter.recv(100) == READY


@pytest.mark.parametrize("address", [None, "", "/nobody/listens"])
def test_nobody_who_listens_is_no_trouble(address: str | None) -> None:
    tell_ready(address)
