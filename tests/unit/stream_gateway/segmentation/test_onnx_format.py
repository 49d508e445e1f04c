import numpy as np
import onnxruntime
import pytest

from stream_gateway.segmentation.onnx_format import Graph, read_weights


def sums(*values: float) -> bytes:
    """A model that adds `values` to its input and turns the result around."""
    graph = Graph(inputs={"x": (np.float32, ("n", len(values)))}, outputs={"y": (np.float32, (len(values), "n"))})
    graph.add("Add", ["x", graph.constant("added", np.array(values, dtype=np.float32))], "sum")
    graph.constant("unused", np.array([300, -1], dtype=np.int64))
    graph.add("Transpose", ["sum"], "y")
    return graph.encode()


def test_what_is_written_runs_in_onnxruntime() -> None:
    session = onnxruntime.InferenceSession(sums(1, 2, 3), providers=["CPUExecutionProvider"])
    [result] = session.run(None, {"x": np.array([[10, 20, 30], [0, 0, 0]], dtype=np.float32)})
    assert result.tolist() == [[11, 1], [22, 2], [33, 3]]


def test_float_weights_are_read_back_with_their_shape() -> None:
    graph = Graph(inputs={}, outputs={})
    table = np.arange(600, dtype=np.float32).reshape(2, 300)
    graph.constant("table", table)
    graph.constant("sizes", np.array([1], dtype=np.int64))
    weights = read_weights(graph.encode())
    assert list(weights) == ["table"]
    assert np.array_equal(weights["table"], table)


@pytest.mark.parametrize("data", [b"no model", sums(1, 2)[:-30], b"\x3f", b"\xff"])
def test_what_is_no_model_or_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="ONNX"):
        read_weights(data)
