import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.dialects import base64_audio
from stream_gateway.dialects.base64_audio import NotBase64, decode_base64


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


@given(st.binary(max_size=100), st.sampled_from([4, 8, 64, 65_536]))
def test_it_is_decoded_whatever_its_pieces(data: bytes, piece_chars: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base64_audio, "_PIECE_CHARS", piece_chars)
        assert decode_base64(raw(json.dumps(base64.b64encode(data).decode()))) == data


def test_json_may_escape_the_slash() -> None:
    assert decode_base64(raw('"\\/\\/\\/\\/"')) == b"\xff\xff\xff"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("null", "Expected `str`"),
        ("7", "Expected `str`"),
        ("[]", "Expected `str`"),
        ('"A"', "Invalid base64"),
        ('"AAA"', "Invalid base64"),
        ('"AA==AAAA"', "Invalid base64"),
        ('"AAAA AAAA"', "Invalid base64"),
        ('"AAAA\\n"', "Invalid base64"),
        ('"é___"', "Invalid base64"),
        ('"\\ud800"', "Invalid base64"),
    ],
)
@pytest.mark.parametrize("piece_chars", [4, 65_536])
def test_anything_else_is_refused(monkeypatch: pytest.MonkeyPatch, value: str, told: str, piece_chars: int) -> None:
    monkeypatch.setattr(base64_audio, "_PIECE_CHARS", piece_chars)
    with pytest.raises(NotBase64, match=told):
        decode_base64(raw(value))
