import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.replay import Kind, ReplayBuffer


def make_buffer(*, max_bytes: int = 1000, start_offset: int = 0, keeps_sent: bool = True) -> ReplayBuffer:
    return ReplayBuffer(frame_bytes=2, max_bytes=max_bytes, start_offset=start_offset, keeps_sent=keeps_sent)


def all_frames(buffer: ReplayBuffer, max_bytes: int = 100) -> list[bytes | str]:
    return list(iter(lambda: buffer.next_frame(max_bytes), None))


def test_everything_goes_out_once_and_messages_at_their_places() -> None:
    buffer = make_buffer()
    buffer.put_audio(b"aabb")
    buffer.put_message("commit", Kind.PLACE)
    buffer.put_audio(b"ccdde")
    buffer.put_message("turn", Kind.TURN)
    had_unsent = [buffer.has_unsent]
    assert all_frames(buffer, 4) == [b"aabb", "commit", b"ccdd", b"e", "turn"]
    assert [*had_unsent, buffer.has_unsent, buffer.is_catching_up] == [True, False, False]


def test_what_was_sent_goes_out_again_from_any_offset_that_is_held() -> None:
    buffer = make_buffer(start_offset=10)
    buffer.put_audio(b"aabbccdd")
    assert all_frames(buffer) == [b"aabbccdd"]
    buffer.rewind(13)
    assert buffer.is_catching_up
    assert all_frames(buffer) == [b"dd"]
    buffer.rewind(14)
    assert all_frames(buffer) == []


def test_committed_audio_is_forgotten_and_an_older_offset_changes_nothing() -> None:
    buffer = make_buffer()
    buffer.put_audio(b"aabbcc")
    all_frames(buffer)
    buffer.commit(2)
    buffer.commit(1)
    assert (buffer.start_offset, buffer.end_offset, buffer.held_bytes) == (2, 3, 2)


def test_audio_that_was_not_sent_on_this_socket_is_not_forgotten() -> None:
    buffer = make_buffer()
    buffer.put_audio(b"aabbcc")
    buffer.next_frame(2)
    buffer.commit(3)
    assert all_frames(buffer) == [b"bbcc"]


def test_a_rewind_may_go_ahead_of_what_this_socket_has_carried() -> None:
    buffer = make_buffer()
    buffer.put_audio(b"aa")
    buffer.put_message("commit", Kind.PLACE)
    buffer.put_audio(b"bbcc")
    all_frames(buffer)
    buffer.rewind(0)
    buffer.rewind(2)
    assert all_frames(buffer) == [b"cc"]


@pytest.mark.parametrize("offset", [0, 4])
def test_asking_for_audio_that_was_forgotten_or_never_put_is_an_error(offset: int) -> None:
    buffer = make_buffer()
    buffer.put_audio(b"aabbcc")
    all_frames(buffer)
    buffer.commit(1)
    with pytest.raises(ValueError, match="held from 1 to 3"):
        buffer.rewind(offset)


def test_half_a_sample_frame_does_not_count() -> None:
    buffer = make_buffer()
    buffer.put_audio(b"aab")
    assert buffer.end_offset == 1
    assert all_frames(buffer) == [b"aab"]
    buffer.put_audio(b"bcc")
    buffer.rewind(1)
    assert all_frames(buffer) == [b"bbcc"]


def test_a_place_is_sent_again_until_audio_behind_it_is_committed() -> None:
    buffer = make_buffer()
    buffer.put_audio(b"aa")
    buffer.put_message("commit", Kind.PLACE)
    buffer.put_audio(b"bb")
    all_frames(buffer)
    buffer.commit(1)
    buffer.rewind(1)
    assert all_frames(buffer) == ["commit", b"bb"]
    buffer.commit(2)
    buffer.rewind(2)
    assert all_frames(buffer) == []


def chat_buffer() -> ReplayBuffer:
    buffer = make_buffer()
    buffer.put_message("turn 1", Kind.TURN)
    buffer.put_message("wish 2", Kind.WISH)
    buffer.put_message("stop 3", Kind.CHANGE)
    buffer.put_message("turn 4", Kind.TURN)
    buffer.put_message("wish 5", Kind.WISH)
    all_frames(buffer)
    return buffer


def sent_again(buffer: ReplayBuffer) -> list[bytes | str]:
    buffer.rewind(buffer.start_offset)
    return all_frames(buffer)


def test_messages_are_sent_again_in_their_order_until_something_tells_of_them() -> None:
    assert sent_again(chat_buffer()) == ["turn 1", "wish 2", "stop 3", "turn 4", "wish 5"]


def test_a_turn_that_is_stored_does_away_with_all_that_was_asked_before_it() -> None:
    buffer = chat_buffer()
    buffer.on_turn_stored(4)
    assert sent_again(buffer) == ["wish 5"]
    buffer.on_turn_stored(0)
    assert sent_again(buffer) == ["wish 5"]


def test_an_answer_that_was_begun_leaves_the_turns_that_are_not_stored() -> None:
    buffer = chat_buffer()
    buffer.on_answer_begun(5)
    assert sent_again(buffer) == ["turn 1", "turn 4"]


def test_a_refusal_is_of_the_oldest_wish_and_never_does_away_with_a_turn_that_may_wait_to_be_stored() -> None:
    buffer = chat_buffer()
    buffer.on_refused()
    buffer.on_refused()
    assert [message for message in sent_again(buffer) if "turn" in str(message)] == ["turn 1", "turn 4"]
    buffer.on_refused()
    buffer.on_turn_stored(4)
    assert sent_again(buffer) == []


def test_a_change_is_done_once_audio_behind_it_is_committed_and_a_turn_is_not() -> None:
    buffer = make_buffer()
    buffer.put_message("stop", Kind.CHANGE)
    buffer.put_message("turn", Kind.TURN)
    buffer.put_audio(b"aa")
    all_frames(buffer)
    buffer.commit(1)
    assert sent_again(buffer) == ["turn"]


def test_it_catches_up_until_all_that_had_gathered_is_sent() -> None:
    buffer = make_buffer()
    buffer.put_audio(b"aa")
    buffer.put_message("turn", Kind.TURN)
    buffer.rewind(0)
    buffer.put_audio(b"bb")
    catching_up = []
    while buffer.next_frame(2) is not None:
        catching_up.append(buffer.is_catching_up)
    assert catching_up == [True, False, False]


def test_room_is_what_the_bound_leaves_and_a_message_costs_more_than_its_text() -> None:
    buffer = make_buffer(max_bytes=100)
    assert buffer.has_room_for("x" * 1000)
    buffer.put_audio(bytes(10))
    assert buffer.room_bytes == 90
    assert buffer.has_room_for("x" * 26)
    assert not buffer.has_room_for("x" * 27)
    buffer.put_message("x" * 26, Kind.TURN)
    assert (buffer.held_bytes, buffer.room_bytes) == (100, 0)
    all_frames(buffer)
    buffer.on_turn_stored(1)
    buffer.commit(5)
    assert buffer.held_bytes == 0


def test_where_nothing_can_be_sent_again_only_what_waits_is_held() -> None:
    buffer = make_buffer(keeps_sent=False)
    buffer.put_audio(b"aabb")
    buffer.put_message("turn", Kind.TURN)
    assert buffer.next_frame(2) == b"aa"
    assert buffer.start_offset == 1
    assert all_frames(buffer) == [b"bb", "turn"]
    assert buffer.held_bytes == 0


@given(
    steps=st.lists(st.one_of(st.binary(max_size=7), st.integers(0, 60), st.sampled_from(["send", "commit"]))),
    step_bytes=st.integers(1, 5),
)
def test_what_is_sent_from_any_offset_is_what_was_put_behind_it(
    steps: list[bytes | int | str], step_bytes: int
) -> None:
    buffer = make_buffer()
    put = b""
    for step in steps:
        match step:
            case bytes():
                buffer.put_audio(step)
                put += step
            case int():
                offset = min(max(step, buffer.start_offset), buffer.end_offset)
                if offset < buffer.start_offset:
                    continue  # half a sample frame alone is left
                buffer.rewind(offset)
                assert b"".join(f for f in all_frames(buffer, step_bytes) if isinstance(f, bytes)) == put[offset * 2 :]
            case "send":
                buffer.next_frame(step_bytes)
            case _:
                buffer.commit(buffer.start_offset + 1)
        assert buffer.held_bytes <= len(put)
