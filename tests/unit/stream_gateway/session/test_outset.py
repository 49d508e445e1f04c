from stream_gateway.session.outset import BEGINNING, ChannelOutset, Outset


def test_a_session_begins_with_nothing() -> None:
    assert (BEGINNING.clock_sample, BEGINNING.first_window) == (0, 1)
    assert BEGINNING.channel(1) == ChannelOutset(0, 0)


def test_the_clock_begins_on_a_frame() -> None:
    assert Outset(begin_sample=1024).clock_sample == 1024
    assert Outset(begin_sample=1500).clock_sample == 1024


def test_a_channel_is_heard_from_where_it_is_accounted_for_and_not_before_audio_comes() -> None:
    outset = Outset(begin_sample=1000, channels=(ChannelOutset(4, 5000), ChannelOutset(3, 200)))
    assert outset.channel(0) == ChannelOutset(4, 5000)
    assert outset.channel(1) == ChannelOutset(3, 1000)


def test_windows_of_one_life_of_a_session_never_have_the_numbers_of_another() -> None:
    assert Outset(epoch=1).first_window > 1_000_000
    assert Outset(epoch=2).first_window - Outset(epoch=1).first_window > 1_000_000
