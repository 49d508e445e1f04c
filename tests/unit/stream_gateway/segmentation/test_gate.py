from stream_gateway.segmentation.gate import EnergyGate, GateOptions

SILENT_DBFS = -90.0
LOUD_DBFS = -30.0


def test_the_model_hears_the_beginning_of_a_silence_before_the_gate_closes() -> None:
    gate = EnergyGate(GateOptions(settle_frames=3))
    assert [gate.admits(SILENT_DBFS) for _ in range(5)] == [True, True, True, False, False]


def test_the_first_frame_that_is_not_silent_opens_the_gate() -> None:
    gate = EnergyGate(GateOptions(settle_frames=2))
    assert [gate.admits(level) for level in (SILENT_DBFS,) * 3 + (LOUD_DBFS,) + (SILENT_DBFS,) * 3] == [
        True,
        True,
        False,
        True,
        True,
        True,
        False,
    ]


def test_the_gate_stays_open_while_the_model_hears_someone_in_the_silence() -> None:
    gate = EnergyGate(GateOptions(settle_frames=2, settled_score=0.1))
    for _ in range(10):
        assert gate.admits(SILENT_DBFS)
        gate.on_score(0.11)


def test_low_scores_let_the_gate_close() -> None:
    gate = EnergyGate(GateOptions(settle_frames=2, settled_score=0.1))
    admitted = []
    for _ in range(4):
        admitted.append(gate.admits(SILENT_DBFS))
        gate.on_score(0.1)
    assert admitted == [True, True, False, False]


def test_a_room_that_is_merely_quiet_is_always_scored() -> None:
    gate = EnergyGate()
    assert all(gate.admits(-70.0) for _ in range(1000))
