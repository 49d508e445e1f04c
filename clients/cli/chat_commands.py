"""What a line that was typed into `harken chat` means. Pure."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias


class Plain(Enum):
    """Lines that say no more than their name."""

    ENTER = auto()
    """An empty line: it stops the running answer, or ends what is being said."""
    FORGET = auto()
    FIGURES = auto()
    STOP = auto()
    RETRY = auto()
    HELP = auto()
    QUIT = auto()


@dataclass(frozen=True, slots=True)
class Turn:
    """Something said to the assistant."""

    text: str


@dataclass(frozen=True, slots=True)
class Instruct:
    """Change the instructions; None asks for them."""

    text: str | None


@dataclass(frozen=True, slots=True)
class UseModel:
    """Change the model; None asks for it."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A command that there is none of."""

    name: str


TypedLine: TypeAlias = Plain | Turn | Instruct | UseModel | Unknown

NOTHING: Final = '""'
"""`/system ""` takes the instructions away."""

COMMAND_ROWS: Final = (
    ("Enter", "stop the running answer, or end what you are saying"),
    ("/new", "forget the conversation"),
    ("/system TEXT", f"change the instructions; {NOTHING} for none, nothing to see them"),
    ("/model NAME", "change the model; nothing to see it"),
    ("/cancel", "stop the running answer"),
    ("/retry", "ask again where an answer failed"),
    ("/stats", "figures of the last answers"),
    ("/help", "this list"),
    ("/quit", "leave, as Ctrl-D does"),
    ("//TEXT", "say TEXT with a slash in front"),
)
_PLAIN: Final = {
    "new": Plain.FORGET,
    "stats": Plain.FIGURES,
    "cancel": Plain.STOP,
    "retry": Plain.RETRY,
    "help": Plain.HELP,
    "quit": Plain.QUIT,
    "exit": Plain.QUIT,
}


def parse_line(line: str) -> TypedLine:
    """Tell what a line means. Blanks around it mean nothing."""
    text = line.strip()
    if not text:
        return Plain.ENTER
    if text.startswith("//"):
        return Turn(text[1:])
    if not text.startswith("/"):
        return Turn(text)
    name, *rest = text[1:].split(maxsplit=1) or [""]
    argument = rest[0].strip() if rest else None
    match name:
        case "system":
            return Instruct("" if argument == NOTHING else argument)
        case "model":
            return UseModel(argument)
        case _:
            return _PLAIN.get(name, Unknown(name))
