import pytest

from clients.cli.chat_commands import Instruct, Plain, Turn, TypedLine, Unknown, UseModel, parse_line


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("", Plain.ENTER),
        ("  ", Plain.ENTER),
        (" hi there ", Turn("hi there")),
        ("either/or", Turn("either/or")),
        ("//etc/hosts", Turn("/etc/hosts")),
        ("/new", Plain.FORGET),
        ("/stats", Plain.FIGURES),
        ("/cancel", Plain.STOP),
        ("/retry", Plain.RETRY),
        ("/help", Plain.HELP),
        ("/quit", Plain.QUIT),
        ("/exit", Plain.QUIT),
        ("/system", Instruct(None)),
        ("/system  Be brief. ", Instruct("Be brief.")),
        ('/system ""', Instruct("")),
        ("/model", UseModel(None)),
        ("/model smollm2", UseModel("smollm2")),
        ("/newer", Unknown("newer")),
        ("/", Unknown("")),
    ],
)
def test_a_line_is_a_turn_unless_a_slash_makes_it_a_command(line: str, meaning: TypedLine) -> None:
    assert parse_line(line) == meaning
