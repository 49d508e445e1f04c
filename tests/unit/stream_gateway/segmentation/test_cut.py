from stream_gateway.segmentation.cut import quietest_frame


def test_the_middle_of_the_quietest_stretch_is_found() -> None:
    assert quietest_frame([0.9] * 10 + [0.1] * 5 + [0.9] * 10) == 12.5


def test_one_low_frame_is_a_consonant_and_no_pause() -> None:
    scores = [0.9] * 20
    scores[4] = 0.0
    scores[12:17] = [0.3] * 5
    assert quietest_frame(scores) == 14.5


def test_of_equals_the_latest_is_taken() -> None:
    assert quietest_frame([0.5] * 8) == 5.5
