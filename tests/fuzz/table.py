"""All targets."""

from typing import Final

from tests.fuzz.surfaces import (
    audio,
    bus,
    clients,
    conversations,
    frames,
    front_door,
    model_server,
    model_store,
    resumption,
)
from tests.fuzz.target import Target

TARGETS: Final[tuple[Target, ...]] = (
    *frames.TARGETS,
    *front_door.TARGETS,
    *conversations.TARGETS,
    *audio.TARGETS,
    *bus.TARGETS,
    *clients.TARGETS,
    *model_server.TARGETS,
    *model_store.TARGETS,
    *resumption.TARGETS,
)
