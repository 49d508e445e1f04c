from stream_gateway.chat.client_ids import MAX_IDS, ClientIds
from stream_gateway.session.events import TurnStored


def stored(id: str | None, turn: int = 1) -> TurnStored:
    return TurnStored(turn=turn, source="typed", id=id)


def test_a_name_is_known_from_when_it_is_taken_and_its_turn_once_it_is_stored() -> None:
    ids = ClientIds()
    assert "a" not in ids
    ids.add("a")
    assert "a" in ids
    assert ids.stored("a") is None
    ids.on_stored(stored("a"))
    assert ids.stored("a") == stored("a")


def test_turns_without_a_name_are_not_remembered() -> None:
    assert "" not in ClientIds((stored(None),))


def test_the_oldest_names_are_forgotten() -> None:
    ids = ClientIds(tuple(stored(f"c{number}") for number in range(MAX_IDS)))
    ids.on_stored(stored("c0", turn=7))
    ids.add("new")
    assert "c1" not in ids
    assert ids.stored("c0") == stored("c0", turn=7), "told again: among the newest"
