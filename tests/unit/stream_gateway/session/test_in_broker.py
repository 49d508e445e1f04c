from stream_gateway.session.in_broker import InBroker


def published(known: InBroker[str], seq: int | None, what: str | None = "w") -> int | None:
    known.on_publishing()
    return known.on_published(seq, what)


def test_a_message_that_is_given_up_is_known_by_its_number_once() -> None:
    known: InBroker[str] = InBroker()
    assert published(known, 7) is None
    assert (7 in known, known[7]) == (True, "w")
    assert known.on_given_up(7, 4) == "w"
    assert known.on_given_up(7, 4) is None


def test_all_up_to_a_number_are_taken_in_their_order_and_forgotten() -> None:
    known: InBroker[str] = InBroker()
    for seq in (9, 7, 8, 10):
        published(known, seq, f"w{seq}")
    assert known.take_upto(9) == ["w7", "w8", "w9"]
    assert known.take_upto(9) == []
    assert 10 in known


def test_one_that_is_given_up_before_its_number_is_known_is_told_with_that() -> None:
    known: InBroker[str] = InBroker()
    known.on_publishing()
    assert known.on_given_up(7, 1) is None
    assert known.on_published(7, "w") == 1
    assert 7 not in known


def test_what_is_given_up_while_nothing_is_published_is_somebody_elses() -> None:
    known: InBroker[str] = InBroker()
    known.on_given_up(7, 1)
    assert published(known, 7) is None


def test_what_was_given_up_is_remembered_no_longer_than_anything_is_published() -> None:
    known: InBroker[str] = InBroker()
    known.on_publishing()
    known.on_given_up(8, 1)
    known.on_publishing()
    assert known.on_published(None, None) is None
    assert known.on_published(7, "w") is None
    assert published(known, 8) is None


def test_of_what_is_given_up_meanwhile_only_so_much_is_remembered() -> None:
    known: InBroker[str] = InBroker()
    known.on_publishing()
    for seq in range(100):
        known.on_given_up(seq, 1)
    assert known.on_published(99, "w") is None
    assert 99 in known


def test_a_broker_that_restarts_gives_numbers_anew() -> None:
    known: InBroker[str] = InBroker()
    published(known, 1)
    known.on_publishing()
    known.on_given_up(2, 1)
    known.clear()
    assert known.on_published(2, "new") is None
    assert (1 in known, known[2]) == (False, "new")


def test_what_nobody_will_ask_for_is_not_kept() -> None:
    known: InBroker[str] = InBroker()
    published(known, 1, None)
    published(known, 2, "old")
    published(known, 3, "wanted")
    known.keep(lambda what: what == "wanted")
    assert [seq in known for seq in (1, 2, 3)] == [False, False, True]


def test_beyond_the_most_the_oldest_are_forgotten() -> None:
    known: InBroker[str] = InBroker(most=2)
    for seq in (1, 2, 3):
        published(known, seq)
    assert [seq in known for seq in (1, 2, 3)] == [False, True, True]
