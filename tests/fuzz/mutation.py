"""Inputs that are almost right: messages whose values, fields and bytes were tampered with.

The same `Random` gives the same input.
"""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import msgspec

_TOKENS = (
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b'"',
    b"\\",
    b"\\u0000",
    b"\x00",
    b"\xff",
    b"\r\n",
    b"\xed\xa0\x80",
    b"-",
    b"e9",
)
_EXTREMES = (
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff\xff\x7f",
    b"\x01\x00\x00\x00",
)
_WHOLE = (0, 1, -1, 2, 127, 255, 65_536, 2**31 - 1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1)
_REAL = (0.0, -0.0, 0.5, -1.5, 1e-300, 5e-324, 1e18, 1e300, -1e308)
_TEXTS = (
    "",
    " ",
    "\x00",
    "\x1b[31m",
    "a\nb",
    "\u202e\u2066",
    "\ufeff",
    "😀" * 9,
    "é" * 65,
    "..",
    "a.b",
    "*",
    ">",
    "x" * 65,
)
_LONG_CHARS = 40_000
"""Beyond what any field of ours may have."""
_MAX_BYTES = 200_000
"""Of a message: what is longer takes time to be made, and tells nothing that shorter ones do not."""
_DEPTHS = (3, 60, 400, 2_000, 30_000)
"""Of nested values: below and above where decoders written in C give up."""

_JSON_RAW = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"1" + b"0" * 30,
    b"-1" + b"0" * 400,
    b"1.0",
    b'"\\ud800"',
    b'"\\udc00\\ud800x"',
    b'"\\ud83d\\ude00"',
    b'{"type":1,"type":"x"}',
    b"nul",
)
_MSGPACK_RAW = (
    msgspec.msgpack.encode(float("nan")),
    msgspec.msgpack.encode(float("-inf")),
    b"\xc1",  # never used by the format
    b"\xd6\xff\x00\x00\x00\x01",  # a time
    b"\xc7\x03\x05abc",
    b"\xdf\xff\xff\xff\xff",  # a map of four billion entries that do not follow
    b"\xdd\x7f\xff\xff\xff",
    b"\xdb\x7f\xff\xff\xffx",
    b"\xa2\xed\xa0",
)


def mutate_bytes(random: Random, data: bytes, *, tokens: Sequence[bytes] = _TOKENS) -> bytes:
    """One to four changes of any kind."""
    for _ in range(1 + int(random.expovariate(1.2)) % 4):
        data = random.choice(_BYTE_CHANGES)(random, data, tokens)
    return data


def _flip(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _truncate(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _insert(random: Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    what = random.choice(tokens) if random.random() < 0.7 else random.randbytes(random.randint(1, 8))
    return data[:at] + what + data[at:]


def _overwrite(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    what = random.choice(_EXTREMES)
    return data[:at] + what + data[at + len(what) :]


def _repeat(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:end] + data[start:end] * random.choice((1, 1, 2, 40)) + data[end:]


def _remove(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def _span(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 4, 16, 256)))


_BYTE_CHANGES: tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip,
    _flip,
    _truncate,
    _insert,
    _overwrite,
    _repeat,
    _remove,
)


class MessageMutator:
    """Mutates messages of one encoding. Values that other messages have in the same place are most often tried."""

    def __init__(
        self,
        seeds: Sequence[bytes],
        *,
        decode: Callable[[bytes], Any],
        encode: Callable[[Any], bytes],
        raw: Sequence[bytes],
        nest: Callable[[int], bytes],
    ) -> None:
        self._seeds = tuple(seeds)
        self._decode = decode
        self._encode = encode
        self._raw = raw
        self._nest = nest
        self._vocabulary = [value for seed in seeds for value in _leaves(decode(seed))]

    def make(self, random: Random) -> bytes:
        """One message, seldom as it was."""
        return self.tampered(random, random.choice(self._seeds))

    def tampered(self, random: Random, seed: bytes) -> bytes:
        """The message `seed`, changed in its tree, in its bytes, or not at all."""
        tree = self._decode(seed)
        for _ in range(int(random.expovariate(0.7)) % 6):
            tree = self._change(random, tree)
        data = self._encode(tree)
        if len(data) > _MAX_BYTES:
            data = seed
        return mutate_bytes(random, data) if random.random() < 0.15 else data

    def _change(self, random: Random, tree: Any) -> Any:
        places = _places(tree) if isinstance(tree, dict | list) else []
        if not places:
            return self._odd(random)
        container, key = random.choice(places)
        kind = random.random()
        if kind < 0.55:
            container[key] = self._odd(random)
        elif kind < 0.7:
            other, where = random.choice(places)
            container[key], other[where] = other[where], container[key]
            if _is_cyclic(container):
                return self._odd(random)
        elif kind < 0.85:
            container.pop(key)
        elif isinstance(container, dict):
            container[random.choice(_TEXTS) + str(key)] = self._odd(random)
        else:
            container *= random.choice((2, 3, 300))
        return tree

    def _odd(self, random: Random) -> Any:
        kind = random.random()
        if kind < 0.35:
            return random.choice(self._vocabulary)
        if kind < 0.5:
            return random.choice(_WHOLE)
        if kind < 0.6:
            return random.choice(_REAL)
        if kind < 0.75:
            return random.choice(_TEXTS)
        if kind < 0.83:
            return random.choice((None, True, False, [], {}, [None], {"type": None}))
        if kind < 0.95:
            return msgspec.Raw(random.choice(self._raw))
        if kind < 0.99:
            return msgspec.Raw(self._nest(random.choice(_DEPTHS)))
        return random.choice(("x", "é", " ")) * random.choice((1_001, _LONG_CHARS))


def json_mutator(seeds: Sequence[bytes]) -> MessageMutator:
    """For JSON: also numbers that are none, surrogates, fields that come twice."""
    return MessageMutator(
        seeds,
        decode=msgspec.json.decode,
        encode=msgspec.json.encode,
        raw=_JSON_RAW,
        nest=lambda depth: b'[{"a":' * depth + b"0" + b"}]" * depth,
    )


def msgpack_mutator(seeds: Sequence[bytes]) -> MessageMutator:
    """For msgpack: also NaN, lengths that lie, extensions."""
    return MessageMutator(
        seeds,
        decode=msgspec.msgpack.decode,
        encode=msgspec.msgpack.encode,
        raw=_MSGPACK_RAW,
        nest=lambda depth: b"\x91" * depth + b"\xc0",
    )


def mutated(seeds: Sequence[bytes], *, tokens: Sequence[bytes] = _TOKENS) -> Callable[[Random], bytes]:
    """Makes inputs of a format that is no tree."""
    return partial(_mutated, tuple(seeds), tuple(tokens))


def _mutated(seeds: Sequence[bytes], tokens: Sequence[bytes], random: Random) -> bytes:
    return mutate_bytes(random, random.choice(seeds), tokens=tokens)


def _leaves(tree: Any) -> list[Any]:
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [leaf for child in children for leaf in _leaves(child)] or ([] if isinstance(tree, dict | list) else [tree])


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Everything that holds a value, with where it holds it."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        for key, value in list(holder.items()) if isinstance(holder, dict) else enumerate(holder):
            found.append((holder, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    return found


def _is_cyclic(tree: Any, above: tuple[int, ...] = ()) -> bool:
    if id(tree) in above:
        return True
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return any(_is_cyclic(child, (*above, id(tree))) for child in children)
