import pytest

from benchmarks.peers.messages import (
    Ended,
    Meaning,
    Read,
    Ready,
    Refused,
    Text,
    give_up_at,
    read_whisper_live,
    read_whisper_live_kit,
)


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ('{"uid": "u", "message": "SERVER_READY", "backend": "faster_whisper"}', Ready()),
        ('{"uid": "u", "message": "DISCONNECT"}', Ended()),
        ('{"uid": "u", "status": "WAIT", "message": 1.5}', Refused("WAIT 1.5")),
        ('{"uid": "u", "status": "ERROR"}', Refused("ERROR")),
        ('{"uid": "u", "language": "en", "language_prob": 0.9}', None),
        ('{"segments": [{"text": " He saw", "completed": true}, {"text": " it."}]}', Text("He saw it.")),
    ],
)
def test_whisper_live_says(message: str, meaning: Meaning) -> None:
    assert read_whisper_live(message) == meaning


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ('{"type": "config", "useAudioWorklet": true, "mode": "full"}', Ready()),
        ('{"type": "ready_to_stop"}', Ended()),
        ('{"status": "error", "error": "no model", "lines": []}', Refused("no model")),
        ('{"type": "snapshot"}', None),
        ('{"lines": [{"text": " He saw"}, {"text": null}], "buffer_transcription": " it"}', Text("He saw it")),
        ('{"status": "no_audio_detected", "lines": [], "buffer_transcription": ""}', Text("")),
    ],
)
def test_whisper_live_kit_says(message: str, meaning: Meaning) -> None:
    assert read_whisper_live_kit(message) == meaning


def test_a_server_that_says_when_it_is_done_is_given_all_the_patience() -> None:
    assert give_up_at(20.0, 5.0, quiet_s=None, patience_s=60.0) == 80.0


def test_a_server_that_does_not_is_done_when_it_was_quiet_after_the_audio() -> None:
    assert give_up_at(20.0, 5.0, quiet_s=15.0, patience_s=60.0) == 35.0
    assert give_up_at(20.0, 30.0, quiet_s=15.0, patience_s=60.0) == 45.0


def test_a_server_that_has_shown_nothing_yet_is_late_and_not_done() -> None:
    assert give_up_at(20.0, None, quiet_s=15.0, patience_s=60.0) == 80.0


def test_patience_ends_however_much_still_changes() -> None:
    assert give_up_at(20.0, 79.0, quiet_s=15.0, patience_s=60.0) == 80.0


@pytest.mark.parametrize("read", [read_whisper_live, read_whisper_live_kit])
def test_what_is_no_json_ends_the_session(read: Read) -> None:
    assert read(b"\x00") == Refused("sent something that is no JSON")
