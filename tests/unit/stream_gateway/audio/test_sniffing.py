import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.audio.sniffing import IndexSearch, LengthCheck, OggLength, WavLength, length_check, sniff


@pytest.mark.parametrize(
    ("head", "demuxer"),
    [
        (b"RIFF\x24\x00\x00\x00WAVE", "wav"),
        (b"RF64\xff\xff\xff\xffWAVE", "wav"),
        (b"fLaC\x00\x00\x00\x22abcd", "flac"),
        (b"OggS\x00\x02abcdef", "ogg"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81", "matroska"),
        (b"\x00\x00\x00\x18ftypisom", "mov"),
        (b"ID3\x04\x00abcdefg", "mp3"),
        (b"\xff\xfb\x90\x64abcdefgh", "mp3"),
        (b"\xff\xf3\x40\xc0abcdefgh", "mp3"),
        (b"RIFF\x24\x00\x00\x00AVI ", None),
        (b"#EXTM3U\nhttp", None),
        (b"concat:a|b|c", None),
        (b"\xff\xeb\x90\x64abcdefgh", None),  # reserved version
        (b"\xff\xf9\x50\x80abcdefgh", None),  # no layer: AAC without a container
        (b"\xff\xfb\xf0\x64abcdefgh", None),  # bad bit rate
        (b"\xff\xfb\x9c\x64abcdefgh", None),  # bad sample rate
        (bytes(12), None),
        (b"", None),
    ],
)
def test_a_stream_is_known_by_its_first_bytes(head: bytes, demuxer: str | None) -> None:
    assert sniff(head) == demuxer


def box(kind: bytes, body: bytes = b"", *, size: int | None = None) -> bytes:
    return struct.pack(">I", len(body) + 8 if size is None else size) + kind + body


FTYP = box(b"ftyp", b"isom\x00\x00\x00\x00")


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (FTYP + box(b"moov", bytes(100)), True),
        (FTYP + box(b"free", bytes(50)) + box(b"moof", bytes(100)), True),
        (FTYP + box(b"mdat", bytes(100)), False),
        (FTYP + box(b"mdat", bytes(8), size=0), False),
        (FTYP + box(b"wide") + box(b"mdat", bytes(8), size=1), False),
        (FTYP + box(b"free", struct.pack(">Q", 32) + bytes(16), size=1) + box(b"moov", bytes(8)), True),
        (FTYP + box(b"free", bytes(8), size=3), True),
        (FTYP, None),
        (FTYP + box(b"free", bytes(50))[:20], None),
    ],
)
def test_an_mp4_index_is_found_before_or_after_the_media(head: bytes, answer: bool | None) -> None:
    assert IndexSearch().look(head) is answer


@given(st.sampled_from([b"moov", b"mdat", b"free"]), st.lists(st.integers(0, 60), max_size=3), st.integers(1, 30))
def test_it_does_not_matter_how_the_boxes_of_a_file_come_in(kind: bytes, bodies: list[int], step: int) -> None:
    head = FTYP + b"".join(box(b"free", bytes(size)) for size in bodies) + box(kind, bytes(8))
    search = IndexSearch()
    answers = [search.look(head[:end]) for end in range(0, len(head) + step, step)]
    assert answers[-1] is IndexSearch().look(head)
    assert answers == sorted(answers, key=lambda answer: answer is not None), "an answer stays"


def test_a_file_of_nothing_but_boxes_is_not_followed_for_ever() -> None:
    search = IndexSearch()
    assert search.look(box(b"free") * 900) is None
    assert search.look(box(b"free") * 1_010) is True


def wav(data_size: int, body: bytes) -> bytes:
    return b"RIFF\x00\x00\x00\x00WAVE" + b"LIST\x03\x00\x00\x00abc\x00" + b"data" + struct.pack("<I", data_size) + body


def ogg_page(*segments: bytes) -> bytes:
    return b"OggS" + bytes(22) + bytes([len(segments), *map(len, segments)]) + b"".join(segments)


OGG = ogg_page(b"head") + ogg_page() + ogg_page(b"x" * 255, b"y" * 17)


def is_cut(check: LengthCheck, data: bytes, cuts: list[int]) -> bool:
    position = 0
    for cut in [*sorted(cuts), len(data)]:
        check.feed(data[position:cut])
        position = max(position, cut)
    return check.is_cut


some_cuts = st.lists(st.integers(0, 400), max_size=10)


@given(st.integers(0, 100), some_cuts)
def test_a_wav_file_is_cut_if_it_has_less_data_than_it_announces(missing: int, cuts: list[int]) -> None:
    assert is_cut(WavLength(), wav(100, bytes(100 - missing)), cuts) is (missing > 0)


@pytest.mark.parametrize("unknown", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_file_of_unknown_length_is_never_cut(unknown: int) -> None:
    assert not is_cut(WavLength(), wav(unknown, bytes(100)), [])


def test_chunks_after_the_audio_of_a_wav_file_are_no_cut() -> None:
    assert not is_cut(WavLength(), wav(100, bytes(100)) + b"LIST\x04\x00\x00\x00abcd", [])


@given(st.integers(0, len(OGG)), some_cuts)
def test_an_ogg_file_is_cut_unless_it_ends_with_a_page(length: int, cuts: list[int]) -> None:
    page_ends = (0, 32, 59, len(OGG))
    assert is_cut(OggLength(), OGG[:length], cuts) is (length not in page_ends)


def test_an_ogg_file_that_is_out_of_step_is_not_judged() -> None:
    assert not is_cut(OggLength(), ogg_page(b"head") + b"junk" * 20, [])


def test_other_containers_are_not_watched() -> None:
    assert not is_cut(length_check("mp3"), b"anything", [])
    assert isinstance(length_check("wav"), WavLength)
    assert isinstance(length_check("ogg"), OggLength)


def test_a_check_that_follows_headers_must_say_what_they_mean() -> None:
    class Undecided(LengthCheck):
        _header_bytes = 4

    with pytest.raises(NotImplementedError):
        Undecided().feed(b"head")
