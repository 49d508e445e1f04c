from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from stream_gateway.segmentation.onnx_format import Graph
from stream_gateway.segmentation.silero_graph import dense_model


@pytest.mark.weights
def test_the_dense_graph_scores_as_the_published_one_does(silero_path: Path) -> None:
    published = onnxruntime.InferenceSession(str(silero_path), providers=["CPUExecutionProvider"])
    dense = onnxruntime.InferenceSession(dense_model(silero_path.read_bytes()), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    expected_state = state = np.zeros((2, 3, 128), dtype=np.float32)
    for _ in range(30):
        frames = random.normal(0, 0.1, (3, 576)).astype(np.float32) * np.float32(random.uniform())
        inputs = {"input": frames, "state": expected_state, "sr": np.array(16_000)}
        expected, expected_state = published.run(["output", "stateN"], inputs)
        dense_inputs = {"input": frames, "places": np.array([[0, 1, 2]]), "lengths": np.ones(3, dtype=np.int32)}
        scores, state = dense.run(["output", "stateN"], {**dense_inputs, "state": state})
        assert np.allclose(scores, expected, atol=1e-5)
        assert np.allclose(state, expected_state, atol=1e-3)  # cell values go into the tens


def test_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks 'stft"):
        dense_model(Graph(inputs={}, outputs={}).encode())
