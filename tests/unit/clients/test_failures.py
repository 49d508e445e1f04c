import pytest

from bus.contract import errors
from clients.failures import Busy, ConnectionLost, NoWorkerNow, from_close, from_code, from_unavailable

CONTRACT_ERRORS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.HarkenError) and "code" in vars(value)
]


@pytest.mark.parametrize("kind", [kind for kind in CONTRACT_ERRORS if kind is not errors.HarkenError])
def test_every_code_of_the_contract_becomes_its_own_exception(kind: type[errors.HarkenError]) -> None:
    error = from_code(kind.code, "why", retryable=kind.retryable)
    assert type(error) is kind
    assert str(error) == "why"


def test_an_unknown_code_keeps_its_name_and_becomes_a_service_error_if_a_retry_may_help() -> None:
    error = from_code("moon_phase", "why", retryable=True)
    assert type(error) is errors.ServiceError
    assert str(error) == "why [moon_phase]"


def test_an_unknown_code_that_no_retry_helps_becomes_a_client_error() -> None:
    assert type(from_code("moon_phase", "why", retryable=False)) is errors.ClientError


@pytest.mark.parametrize("kind", [kind for kind in CONTRACT_ERRORS if kind is not errors.HarkenError])
def test_every_close_code_of_the_contract_becomes_an_exception_with_that_close_code(
    kind: type[errors.HarkenError],
) -> None:
    assert from_close(kind.close_code, "").close_code == kind.close_code


def test_a_close_reason_is_the_message() -> None:
    assert str(from_close(1013, "no place left")) == "no place left"


@pytest.mark.parametrize("code", [None, 1000, 1006, 3999, 4500])
def test_other_close_codes_mean_that_the_connection_was_lost(code: int | None) -> None:
    error = from_close(code, "")
    assert type(error) is ConnectionLost
    assert code is None or str(code) in str(error)


def test_an_unknown_close_code_of_the_client_range_is_a_client_error_with_its_reason() -> None:
    error = from_close(4477, "too loud")
    assert type(error) is errors.ClientError
    assert "4477" in str(error)
    assert "too loud" in str(error)


def test_a_refusal_is_busy_and_the_error_that_it_names() -> None:
    error = from_unavailable("no_worker", "why", 5.0)
    assert isinstance(error, NoWorkerNow)
    assert isinstance(error, Busy)
    assert isinstance(error, errors.NoWorker)
    assert (error.code, error.retry_after_s) == ("no_worker", 5.0)


@pytest.mark.parametrize("code", [None, "moon_phase"])
def test_a_refusal_without_a_known_code_counts_as_overloaded(code: str | None) -> None:
    error = from_unavailable(code, "why", None)
    assert isinstance(error, errors.Overloaded)
    assert error.retry_after_s is None
