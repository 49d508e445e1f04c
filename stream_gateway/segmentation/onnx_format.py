"""As much of the ONNX file format as it takes to get weights out of a model and to write a graph of our own.

ONNX is protocol buffers (onnx/onnx.proto); the field numbers below are from there. The `onnx` package would do both,
for 20 MB that a gateway needs for nothing else. Pure: bytes in, bytes out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_IR_VERSION = 8
_OPSET = 15
_FLOAT = 1
_TYPES = {np.dtype("<f4"): _FLOAT, np.dtype("<i4"): 6, np.dtype("<i8"): 7}
_INT_ATTRIBUTE = 2

Shape: TypeAlias = Sequence[int | str]
"""A name stands for any size."""
Tensors: TypeAlias = Mapping[str, tuple[type[np.generic], Shape]]


@dataclass(slots=True)
class Graph:
    """A graph as it is written: operations in order, each named by what it gives."""

    inputs: Tensors
    outputs: Tensors
    _constants: dict[str, bytes] = field(default_factory=dict)
    _nodes: list[bytes] = field(default_factory=list)

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add a tensor of float32, int32 or int64; gives its name."""
        contents = b"".join(_varint_field(1, size) for size in values.shape)
        contents += _varint_field(2, _TYPES[values.dtype]) + _bytes_field(8, name.encode())
        self._constants[name] = contents + _bytes_field(9, np.ascontiguousarray(values).tobytes())
        return name

    def add(self, operator: str, inputs: Sequence[str], *outputs: str, **attributes: int) -> str:
        """Add an operation; gives the name of its first output."""
        node = b"".join(_bytes_field(1, name.encode()) for name in inputs)
        node += b"".join(_bytes_field(2, name.encode()) for name in outputs) + _bytes_field(4, operator.encode())
        for name, value in attributes.items():
            attribute = _bytes_field(1, name.encode()) + _varint_field(3, value) + _varint_field(20, _INT_ATTRIBUTE)
            node += _bytes_field(5, attribute)
        self._nodes.append(node)
        return outputs[0]

    def encode(self) -> bytes:
        """The model file."""
        graph = b"".join(_bytes_field(1, node) for node in self._nodes) + _bytes_field(2, b"graph")
        graph += b"".join(_bytes_field(5, tensor) for tensor in self._constants.values())
        graph += b"".join(_bytes_field(11, _value_info(name, *tensor)) for name, tensor in self.inputs.items())
        graph += b"".join(_bytes_field(12, _value_info(name, *tensor)) for name, tensor in self.outputs.items())
        opset = _bytes_field(1, b"") + _varint_field(2, _OPSET)
        return _varint_field(1, _IR_VERSION) + _bytes_field(7, graph) + _bytes_field(8, opset)


def read_weights(model: bytes) -> dict[str, NDArray[np.float32]]:
    """The float32 initializers of a model, by name. ValueError if it is no ONNX model."""
    weights: dict[str, NDArray[np.float32]] = {}
    try:
        for graph in _messages(model, 7):
            for tensor in _messages(graph, 5):
                fields = list(_fields(tensor))
                if (2, _FLOAT) in fields:
                    contents = {number: value for number, value in fields if isinstance(value, bytes)}
                    weights[contents[8].decode()] = np.frombuffer(contents[9], "<f4").reshape(_dims(fields))
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError("not an ONNX model") from error
    return weights


def _dims(fields: Sequence[tuple[int, int | bytes]]) -> list[int]:
    dims: list[int] = []
    for number, value in fields:
        if number == 1:
            dims += [value] if isinstance(value, int) else _packed(value)
    return dims


def _messages(data: bytes, wanted: int) -> Iterator[bytes]:
    return (value for number, value in _fields(data) if number == wanted and isinstance(value, bytes))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of one message: numbers as they are, everything else as bytes."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        match key & 7:
            case 0:
                value, at = _read_varint(data, at)
                yield key >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, at = _read_varint(data, at)
            case 5:
                length = 4
            case _:
                raise ValueError("not an ONNX model")
        if at + length > len(data):
            raise ValueError("the ONNX model is cut short")
        yield key >> 3, data[at : at + length]
        at += length


def _packed(data: bytes) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _read_varint(data, at)
        values.append(value)
    return values


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _value_info(name: str, kind: type[np.generic], shape: Shape) -> bytes:
    dims = b"".join(
        _bytes_field(1, _varint_field(1, size) if isinstance(size, int) else _bytes_field(2, size.encode()))
        for size in shape
    )
    tensor = _varint_field(1, _TYPES[np.dtype(kind)]) + _bytes_field(2, dims)
    return _bytes_field(1, name.encode()) + _bytes_field(2, _bytes_field(1, tensor))
