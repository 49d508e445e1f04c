"""When an engine counts as broken. Pure."""

BROKEN_AFTER = 12
"""Windows that fail in a row: more than one client with bad windows brings about."""


class EngineBroken(Exception):
    """Nothing can be decoded any more."""


class Health:
    """Counts failures without a success between them."""

    def __init__(self) -> None:
        self._failed_in_a_row = 0

    def on_success(self) -> None:
        """A window was decoded."""
        self._failed_in_a_row = 0

    def on_failure(self) -> None:
        """A window could not be decoded, or not to anything that could be sent. Raises EngineBroken for the last."""
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= BROKEN_AFTER:
            raise EngineBroken(f"{self._failed_in_a_row} windows in a row could not be decoded")
