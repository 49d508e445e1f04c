"""Base64 in JSON, decoded in pieces: one call for megabytes would keep the interpreter from all else meanwhile."""

import binascii
from typing import Final

import msgspec

_PIECE_CHARS: Final = 64 * 1024
"""A multiple of four; about 50 us each."""
_QUOTE: Final = ord('"')
_text_decoder = msgspec.json.Decoder(str)


class NotBase64(ValueError):
    """The text says what is wrong, and quotes nothing."""


def decode_base64(value: msgspec.Raw) -> bytes:
    """The bytes that a JSON value stands for. Raises NotBase64. Any thread, which others run beside."""
    text = memoryview(value)
    if len(text) < 2 or text[0] != _QUOTE:
        raise NotBase64("Expected `str`")
    try:
        return _decoded(text[1:-1])
    except binascii.Error:
        pass
    try:  # JSON may escape any character, and some writers do escape the slash
        return _decoded(memoryview(_text_decoder.decode(value).encode()))
    except (binascii.Error, ValueError):
        raise NotBase64("Invalid base64 encoded string") from None


def _decoded(text: memoryview) -> bytes:
    """Raise binascii.Error for anything but the alphabet with padding at its end."""
    decoded = bytearray()
    for start in range(0, len(text), _PIECE_CHARS):
        piece = text[start : start + _PIECE_CHARS]
        decoded += binascii.a2b_base64(piece, strict_mode=True)
        if len(decoded) % 3 and start + _PIECE_CHARS < len(text):
            raise binascii.Error("padding in the middle")
    return bytes(decoded)
