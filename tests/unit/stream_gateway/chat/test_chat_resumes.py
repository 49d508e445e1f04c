"""Gateways die at any moment: the conversation comes out as if none had, and the client sees each piece once."""

from collections.abc import Callable, Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.contract.chat_work import ChatMessage
from bus.contract.records import ChatTurn, TranscriptFinal
from stream_gateway.session import events
from tests.unit.stream_gateway.chat.resumed_world import World

Script = Sequence[str]
SCRIPTS = st.lists(st.sampled_from(["send", "note", "speak", "ask"]), min_size=1, max_size=5)
DEATHS = st.lists(st.integers(1, 12), min_size=1, max_size=4)
"""Steps until the next one."""


def act(world: World, kind: str, number: int) -> None:
    acts: dict[str, Callable[[], None]] = {
        "send": lambda: world.send(f"typed{number}"),
        "note": lambda: world.send(f"noted{number}", answer=False),
        "speak": lambda: world.speak(f"spoken{number}"),
        "ask": lambda: world.ask_for(f"request{number}"),
    }
    acts[kind]()


def played(script: Script, random: Random, deaths: Sequence[int], *, hurried: bool) -> World:
    """`hurried`: the client does not wait for answers, so that what it does interrupts them."""
    world, left = World(random), list(deaths)
    for number, kind in enumerate(script):
        act(world, kind, number)
        alive = True
        while alive and left:
            for _ in range(left.pop()):
                alive = world.step()
            world.die()
            if random.random() < 0.5:
                break
        if hurried:
            for _ in range(random.randint(0, 12)):
                world.step()
        else:
            world.rest()
    world.rest()
    return world


def turns(world: World) -> list[ChatTurn]:
    return [one for one in world.records if isinstance(one, ChatTurn)]


def check(world: World, script: Script) -> None:
    person, stored = world.person, turns(world)
    assert [turn.turn for turn in stored] == list(range(1, len(stored) + 1))
    users = sorted(turn.text for turn in stored if turn.role == "user")
    prefixes = {"send": "typed", "note": "noted", "speak": "spoken"}
    said = sorted(f"{prefixes[kind]}{number}" for number, kind in enumerate(script) if kind != "ask")
    assert users == said, "each turn once"
    assert not person.unstored
    finals = [one.segment for one in world.records if isinstance(one, TranscriptFinal)]
    assert sorted(person.heard) == sorted(finals) == sorted(turn.segment for turn in stored if turn.segment)
    assert person.texts.keys() == person.ends.keys(), "every answer has an end"
    for number, end in person.ends.items():
        if isinstance(end, events.ChatDone):
            assert end.text == world.asked[number]
    answers = {turn.answer: turn.text for turn in stored if turn.answer is not None}
    assert all(person.texts[number] == text for number, text in answers.items() if number in person.texts)
    saved = world.saved
    assert conversation(world) == tuple(
        ChatMessage(turn.role, turn.text) for turn in stored if turn.text and turn.end != "failed"
    )
    if saved is not None:
        assert (saved.turns, saved.answers) == (len(stored), max(person.texts, default=0))


def conversation(world: World) -> tuple[ChatMessage, ...]:
    return world.saved.messages if world.saved is not None else ()


@settings(max_examples=40, deadline=None)
@given(script=SCRIPTS, random=st.randoms(use_true_random=False), deaths=DEATHS)
def test_a_conversation_is_what_it_would_have_been(script: Script, random: Random, deaths: list[int]) -> None:
    undisturbed = played(script, Random(1), (), hurried=False)
    world = played(script, random, deaths, hurried=False)
    check(world, script)
    check(undisturbed, script)
    assert conversation(world) == conversation(undisturbed)


@settings(max_examples=40, deadline=None)
@given(script=SCRIPTS, random=st.randoms(use_true_random=False), deaths=DEATHS)
def test_whatever_interrupts_it_no_turn_and_no_piece_is_lost_or_doubled(
    script: Script, random: Random, deaths: list[int]
) -> None:
    check(played(script, random, deaths, hurried=True), script)
