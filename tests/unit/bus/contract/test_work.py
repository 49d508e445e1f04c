import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract import work
from bus.contract.work import AsrRequest, AsrResult

finite = st.floats(allow_nan=False, allow_infinity=False)
seconds = st.floats(0, work.MAX_AUDIO_S)
probabilities = st.floats(0, 1)
times = st.tuples(seconds, seconds).map(sorted)
words = st.builds(
    lambda text, span, probability: work.Word(text, span[0], span[1], probability),
    st.text(max_size=8),
    times,
    probabilities,
)
identifiers = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
ACK = "$JS.ACK.ASR_FINAL.asr_std.1.7.9.1790000000000000000.0"
requests = st.builds(
    AsrRequest,
    tenant=identifiers,
    session=identifiers,
    gateway=identifiers,
    version=st.just(work.VERSION),
    segment=st.integers(0, 2**31),
    window=st.integers(0, 2**31),
    start_sample=st.integers(0, 2**40),
    pcm=st.binary(max_size=64).map(lambda data: data + data),
)
results = st.builds(
    AsrResult,
    version=st.just(work.VERSION),
    segment=st.integers(0, 2**31),
    window=st.integers(0, 2**31),
    words=st.lists(words, max_size=3).map(tuple),
    language_probability=probabilities,
    no_speech_probability=probabilities,
    average_log_probability=finite,
    timings=st.none()
    | st.builds(
        work.Timings,
        queue_s=seconds,
        batch_wait_s=seconds,
        features_s=seconds,
        encode_s=seconds,
        decode_s=seconds,
        batch_size=st.integers(0, 2**31),
    ),
)


@given(requests)
def test_a_request_comes_back_as_it_went(request: AsrRequest) -> None:
    assert work.decode_request(work.encode(request)) == request


@pytest.mark.parametrize("field", ["tenant", "session", "gateway"])
def test_what_cannot_be_part_of_a_subject_is_refused_without_being_repeated(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must be") as caught:
        work.decode_request(work.encode(msgspec.structs.replace(_request(), **{field: "a.secret"})))
    assert "secret" not in str(caught.value)


@given(results)
def test_a_result_comes_back_as_it_went(result: AsrResult) -> None:
    assert work.decode_result(work.encode(result)) == result


@given(st.binary(max_size=200))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    for decode in (work.decode_request, work.decode_result, work.decode_cancel, work.decode_taken):
        with pytest.raises(ValueError):
            decode(data)


@given(requests, st.data())
def test_a_damaged_request_is_read_or_refused_but_never_breaks(request: AsrRequest, data: st.DataObject) -> None:
    encoded = bytearray(work.encode(request))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    try:
        work.decode_request(bytes(encoded[:cut]))
    except ValueError:
        pass


def test_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="message version 2, this process speaks 1"):
        work.decode_request(work.encode(_request(version=2)))
    with pytest.raises(ValueError, match="message version 2"):
        work.decode_result(work.encode(_result(version=2)))
    with pytest.raises(ValueError, match="message version 2"):
        work.decode_cancel(work.encode(work.AsrCancel(version=2, session="s", segment=1, window=1)))
    with pytest.raises(ValueError, match="message version 2"):
        work.decode_taken(work.encode(_taken(version=2)))


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="half a sample"):
        work.decode_request(work.encode(_request(pcm=b"\x00")))


def test_the_longest_window_is_read_and_a_longer_one_refused() -> None:
    longest = bytes(int(work.MAX_WINDOW_S * work.SAMPLE_RATE_HZ) * 2)
    assert work.decode_request(work.encode(_request(pcm=longest))).pcm == longest
    with pytest.raises(ValueError, match="longer than 29 s"):
        work.decode_request(work.encode(_request(pcm=longest + b"\x00\x00")))


def test_a_message_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="not an asr.request"):
        work.decode_request(work.encode(_result()))
    with pytest.raises(ValueError, match="not an asr.result"):
        work.decode_result(work.encode(_request()))
    with pytest.raises(ValueError, match="not an asr.cancel"):
        work.decode_cancel(work.encode(_request()))
    with pytest.raises(ValueError, match="not an asr.taken"):
        work.decode_taken(work.encode(_result()))


def test_a_field_that_is_unknown_here_is_ignored() -> None:
    fields = msgspec.msgpack.decode(work.encode(_request()))
    assert work.decode_request(msgspec.msgpack.encode({**fields, "later": 1})) == _request()


def _request(*, version: int = work.VERSION, pcm: bytes = b"\x00\x00") -> AsrRequest:
    return AsrRequest(
        version=version,
        tenant="t",
        session="s",
        gateway="g",
        segment=1,
        window=1,
        kind="final",
        start_sample=0,
        pcm=pcm,
    )


def _result(*, version: int = work.VERSION) -> AsrResult:
    return AsrResult(version=version, session="s", segment=1, window=1, kind="final")


def _taken(*, version: int = work.VERSION, worker: str = "w1", ack_subject: str = ACK) -> work.AsrTaken:
    return work.AsrTaken(version=version, session="s", segment=1, window=1, worker=worker, ack_subject=ack_subject)


def _timings(**spans: float) -> work.Timings:
    zeros = dict.fromkeys(("queue_s", "batch_wait_s", "features_s", "encode_s", "decode_s"), 0.0)
    return work.Timings(**{**zeros, **spans}, batch_size=1)


def test_a_notice_of_a_final_taken_comes_back_as_it_went() -> None:
    assert work.decode_taken(work.encode(_taken())) == _taken()


def test_a_notice_that_names_a_subject_of_anything_else_is_refused() -> None:
    with pytest.raises(ValueError, match="ack_subject is none of a final"):
        work.decode_taken(work.encode(_taken(ack_subject="$JS.API.STREAM.DELETE.ASR_FINAL")))
    with pytest.raises(ValueError, match="worker id must be"):
        work.decode_taken(work.encode(_taken(worker="*")))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0, 1.1])
def test_a_probability_that_is_none_is_refused(bad: float) -> None:
    for fields in (
        {"language_probability": bad},
        {"no_speech_probability": bad},
        {"words": (work.Word("a", 0, 1, bad),)},
    ):
        with pytest.raises(ValueError, match="probability is outside|must be finite"):
            work.decode_result(work.encode(msgspec.structs.replace(_result(), **fields)))


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_a_log_probability_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        work.decode_result(work.encode(msgspec.structs.replace(_result(), average_log_probability=bad)))


@pytest.mark.parametrize("span", [(float("nan"), 1), (0, float("nan")), (-0.1, 1), (2, 1), (0, 1e9), (0, float("inf"))])
def test_words_at_impossible_times_are_refused(span: tuple[float, float]) -> None:
    word = work.Word("a", *span, 0.5)
    with pytest.raises(ValueError, match="times of a word|must be finite"):
        work.decode_result(work.encode(msgspec.structs.replace(_result(), words=(word,))))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_impossible_timings_are_refused(bad: float) -> None:
    for name in ("queue_s", "batch_wait_s", "features_s", "encode_s", "decode_s"):
        with pytest.raises(ValueError, match="timings|must be finite"):
            work.decode_result(work.encode(msgspec.structs.replace(_result(), timings=_timings(**{name: bad}))))
    with pytest.raises(ValueError, match="timings"):
        timings = msgspec.structs.replace(_timings(), batch_size=-1)
        work.decode_result(work.encode(msgspec.structs.replace(_result(), timings=timings)))


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "a" * (work.MAX_TEXT_CHARS + 1)},
        {"words": (work.Word("a", 0, 1, 0.5),) * (work.MAX_WORDS + 1)},
        {"model": "a" * (work.MAX_NAME_CHARS + 1)},
        {"worker": "a" * (work.MAX_NAME_CHARS + 1)},
        {"language": "a" * (work.MAX_NAME_CHARS + 1)},
        {"failure": work.Failure("a" * (work.MAX_NAME_CHARS + 1), "")},
        {"failure": work.Failure("", "a" * (work.MAX_NAME_CHARS + 1))},
    ],
)
def test_more_than_a_window_can_hold_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="too long|longer than"):
        work.decode_result(work.encode(msgspec.structs.replace(_result(), **fields)))


def test_megabytes_are_refused_before_they_are_read() -> None:
    with pytest.raises(ValueError, match="a result of 300000 bytes"):
        work.decode_result(bytes(300_000))


def test_the_longest_text_of_all_is_taken() -> None:
    words = tuple(work.Word("a" * 8, at, at + 1, 1.0005) for at in range(work.MAX_WORDS))
    longest = msgspec.structs.replace(_result(), text="a" * work.MAX_TEXT_CHARS, words=words, timings=_timings())
    assert work.decode_result(work.encode(longest)) == longest


@pytest.mark.parametrize("prior_samples", [-1, 3])
def test_known_audio_that_reaches_outside_its_window_is_refused(prior_samples: int) -> None:
    request = AsrRequest(
        tenant="t",
        session="s",
        gateway="g",
        segment=1,
        window=1,
        kind="final",
        start_sample=0,
        pcm=b"\0\0" * 2,
        prior_samples=prior_samples,
    )
    with pytest.raises(ValueError, match="prior_samples reaches outside the window"):
        work.decode_request(work.encode(request))


@pytest.mark.parametrize("field", ["start_s", "end_s", "probability"])
def test_a_word_at_no_time_is_refused(field: str) -> None:
    word = msgspec.structs.replace(work.Word("a", 0.0, 1.0, 0.5), **{field: float("nan")})
    result = AsrResult(session="s1", segment=1, window=1, kind="final", words=(work.Word("b", 0.0, 1.0, 0.5), word))
    with pytest.raises(ValueError, match="times and probabilities must be finite"):
        work.decode_result(work.encode(result))


def test_a_time_that_took_for_ever_is_refused() -> None:
    took = work.Timings(queue_s=0, batch_wait_s=0, features_s=0, encode_s=0, decode_s=float("inf"), batch_size=1)
    result = AsrResult(session="s1", segment=1, window=1, kind="final", timings=took)
    with pytest.raises(ValueError, match="must be finite"):
        work.decode_result(work.encode(result))
