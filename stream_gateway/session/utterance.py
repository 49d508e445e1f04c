"""One utterance while it is open."""

from dataclasses import dataclass, field

from stream_gateway.session.stabiliser import Stabiliser


@dataclass(frozen=True, slots=True)
class Heard:
    """What a decoder made of an utterance up to `end_sample`."""

    text: str
    language: str | None
    """The one it is written in."""
    end_sample: int


@dataclass(slots=True)
class Utterance:
    """Someone is speaking on `channel`. Samples are absolute, at 16 kHz."""

    segment: int
    channel: int
    start_sample: int
    """First sample of its windows: the pre-roll before the first speech."""
    speech_start_sample: int
    pausing: bool = False
    """A tentative end was seen and speech has not resumed."""
    quiet: bool = False
    """The newest frame was no speech: the utterance pauses in a moment, or goes on."""
    shown_to_sample: int = 0
    """End of the newest window sent for a partial."""
    heard: Heard | None = None
    """The newest partial."""
    stabiliser: Stabiliser = field(default_factory=Stabiliser)


@dataclass(frozen=True, slots=True)
class FinalWindow:
    """The audio of a whole utterance, as far as it is known to reach."""

    segment: int
    channel: int
    start_sample: int
    end_sample: int
    speech_start_sample: int
    speech_end_sample: int
    draft: str = field(default="", repr=False)
    """What was shown of it as stable."""
    draft_end_sample: int = 0
    """Where the draft's last word ends."""
