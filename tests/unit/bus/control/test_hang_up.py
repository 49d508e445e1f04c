import signal

import pytest

from bus.control.hang_up import Terminal


@pytest.mark.parametrize(("disposition", "matters"), [(signal.SIG_IGN, False), (signal.SIG_DFL, True)])
def test_who_was_told_to_ignore_hang_ups_does_not_end_with_its_terminal(
    disposition: signal.Handlers, matters: bool
) -> None:
    before = signal.signal(signal.SIGHUP, disposition)
    try:
        assert Terminal().matters is matters
    finally:
        signal.signal(signal.SIGHUP, before)
