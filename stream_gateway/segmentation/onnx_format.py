"""Weights out of an ONNX model, and a graph of our own into one. Bytes in, bytes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_IR_VERSION = 8
_OPSET = 15

Shape: TypeAlias = Sequence[int | str]
"""A name stands for any size."""
Tensors: TypeAlias = Mapping[str, tuple[type[np.generic], Shape]]


@dataclass(slots=True)
class Graph:
    """A graph as it is written: operations in order, each named by what it gives."""

    inputs: Tensors
    outputs: Tensors
    _constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    _nodes: list[onnx.NodeProto] = field(default_factory=list)

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add a tensor; gives its name."""
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def add(self, operator: str, inputs: Sequence[str], *outputs: str, **attributes: int) -> str:
        """Add an operation; gives the name of its first output."""
        node = helper.make_node(operator, inputs, outputs)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self._nodes.append(node)
        return outputs[0]

    def encode(self) -> bytes:
        """The model file."""
        graph = helper.make_graph(
            self._nodes,
            "graph",
            _described(self.inputs),
            _described(self.outputs),
            initializer=list(self._constants.values()),
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
        return bytes(model.SerializeToString())


def _described(tensors: Tensors) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)
        for name, (kind, shape) in tensors.items()
    ]


def read_weights(model: bytes) -> dict[str, NDArray[np.float32]]:
    """The float32 initializers of a model, by name. ValueError if it is no ONNX model."""
    try:
        graph = onnx.load_model_from_string(model).graph
    except DecodeError as error:
        raise ValueError("not an ONNX model") from error
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }
