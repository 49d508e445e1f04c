"""What one session showed, whoever served it."""

from dataclasses import dataclass, field

from benchmarks.playback import Played


@dataclass(slots=True)
class Observed:
    """Times are seconds since the session's first sample was spoken, read when a message came out of the socket."""

    texts: list[tuple[float, str]] = field(default_factory=list)
    """The whole text as a user saw it, each time that it changed."""
    error: str = ""
    """Why the session was refused, broke, or was given up; empty if all went well."""
    played: Played | None = None
    """The events themselves, of a service that says which text is final."""

    @property
    def text(self) -> str:
        """What was left in the end."""
        return self.texts[-1][1] if self.texts else ""

    def show(self, at: float, text: str) -> None:
        """Note a text, unless it is what was shown already."""
        if text != self.text:
            self.texts.append((at, text))

    @property
    def changed_s(self) -> float | None:
        """When the text last changed; None if it never did."""
        return self.texts[-1][0] if self.texts else None
