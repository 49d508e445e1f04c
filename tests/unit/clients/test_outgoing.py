import msgspec
import pytest

from bus.contract.client_protocol import (
    AudioCommit,
    AudioEnd,
    AudioFormat,
    ChatCancel,
    ChatConfigure,
    ChatOptions,
    ChatRequest,
    ChatReset,
    ChatSend,
    ClientMessage,
    SessionStart,
    encode_message,
)
from bus.contract.errors import NoChat
from clients.outgoing import Outgoing

SPEECH = SessionStart()
TYPED = SessionStart(audio=None, chat=ChatOptions())
BOTH = SessionStart(chat=ChatOptions())

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


def outgoing(
    start: SessionStart = BOTH, *, max_frame_bytes: int = 100, max_bytes: int = 10_000, keeps_sent: bool = True
) -> Outgoing:
    return Outgoing(start, max_frame_bytes=max_frame_bytes, max_bytes=max_bytes, start_offset=0, keeps_sent=keeps_sent)


def frames(out: Outgoing) -> list[bytes | ClientMessage]:
    taken = []
    while (frame := out.next_frame()) is not None:
        taken.append(_decoder.decode(frame) if isinstance(frame, str) else frame)
    return taken


def test_audio_is_taken_as_far_as_a_frame_and_the_room_go() -> None:
    out = outgoing(max_frame_bytes=4, max_bytes=6)
    assert [out.put_audio(b"aabbcc"), out.put_audio(b"ccdd"), out.put_audio(b"dd")] == [4, 2, 0]
    assert frames(out) == [b"aabb", b"cc"]


def test_a_commit_goes_out_where_it_was_said() -> None:
    out = outgoing()
    out.put_audio(b"aa")
    assert out.put_commit()
    out.put_audio(b"bb")
    assert frames(out) == [b"aa", AudioCommit(), b"bb"]


def test_a_commit_waits_for_room_too() -> None:
    out = outgoing(max_bytes=50)
    out.put_audio(b"aa")
    assert not out.put_commit()
    assert frames(out) == [b"aa"]


@pytest.mark.parametrize(("encoding", "channels", "frames_sent"), [("float32", 2, 10), ("mulaw", 1, 80)])
def test_offsets_count_sample_frames_of_all_channels(encoding: str, channels: int, frames_sent: int) -> None:
    audio = msgspec.convert({"encoding": encoding, "channels": channels}, AudioFormat)
    out = outgoing(SessionStart(audio=audio))
    out.put_audio(bytes(80))
    assert out.replay.end_offset == frames_sent


def test_a_session_without_audio_takes_none() -> None:
    with pytest.raises(NoChat, match="has no audio"):
        outgoing(TYPED).put_audio(b"aa")
    with pytest.raises(NoChat, match="has no audio"):
        outgoing(TYPED).put_commit()


def test_a_session_without_chat_takes_no_commands() -> None:
    with pytest.raises(NoChat, match="has no chat"):
        outgoing(SPEECH).named(ChatSend(text="hi"))


def test_what_the_service_refers_to_gets_a_name_of_its_own() -> None:
    out = outgoing(TYPED)
    for command in (ChatSend(text="hi"), ChatCancel(), ChatRequest()):
        out.put_command(out.named(command))
    assert frames(out) == [ChatSend(text="hi", id="m1"), ChatCancel(), ChatRequest(id="m3")]


def test_a_cancel_names_the_answer_that_it_is_to_stop() -> None:
    out = outgoing(TYPED)
    assert out.named(ChatCancel(), running=3) == ChatCancel(answer=3)
    assert out.named(ChatReset(), running=3) == ChatReset()


def test_a_command_waits_for_room() -> None:
    out = outgoing(TYPED, max_bytes=150)
    command = out.named(ChatSend(text="hi"))
    assert out.has_room_for(command)
    out.put_command(command)
    assert not out.has_room_for(out.named(ChatSend(text="more")))


def test_commands_go_out_again_until_the_service_has_told_of_them() -> None:
    out = outgoing(TYPED)
    commands = (ChatSend(text="a"), ChatRequest(), ChatConfigure(model="m"), ChatReset(), ChatSend(text="b"))
    for command in commands:
        out.put_command(out.named(command))
    assert len(frames(out)) == 5
    out.on_answer_begun("m2")
    out.resume(0, max_frame_bytes=100)
    assert frames(out) == [
        ChatSend(text="a", id="m1"),
        ChatConfigure(model="m"),
        ChatReset(),
        ChatSend(text="b", id="m5"),
    ]
    out.on_turn_stored("m5")
    out.resume(0, max_frame_bytes=100)
    assert frames(out) == []


@pytest.mark.parametrize("name", [None, "", "mine", "m", "m-1", "m²"])
def test_a_name_that_was_not_given_here_tells_nothing(name: str | None) -> None:
    out = outgoing(TYPED)
    out.put_command(out.named(ChatSend(text="a")))
    frames(out)
    out.on_turn_stored(name)
    out.on_answer_begun(name)
    out.resume(0, max_frame_bytes=100)
    assert frames(out) == [ChatSend(text="a", id="m1")]


def test_the_end_goes_out_once_behind_all_else_and_again_after_a_resume() -> None:
    out = outgoing(max_frame_bytes=100)
    out.put_audio(b"aabb")
    out.end()
    had_unsent = [out.has_unsent]
    assert frames(out) == [b"aabb", AudioEnd()]
    had_unsent.append(out.has_unsent)
    out.resume(1, max_frame_bytes=1)
    had_unsent.append(out.has_unsent)
    assert frames(out) == [b"b", b"b", AudioEnd()]
    assert had_unsent == [True, False, True]


def test_where_all_audio_is_there_a_little_more_may_be_done_than_was_sent() -> None:
    out = outgoing()
    out.put_audio(b"aabb")
    with pytest.raises(ValueError, match="asked from 3"):
        out.resume(3, max_frame_bytes=1)
    out.end()
    out.resume(3, max_frame_bytes=1)
    assert frames(out) == [AudioEnd()]


def test_the_text_of_a_message_is_that_of_the_contract() -> None:
    out = outgoing()
    out.end()
    assert out.next_frame() == encode_message(AudioEnd())
