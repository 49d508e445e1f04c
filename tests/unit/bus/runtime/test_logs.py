import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from bus.runtime import logs


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_line_is_one_json_object_with_the_fields_beside_the_message() -> None:
    (line,) = _lines(lambda log: log.info("session closed", extra={"session": "s1", "audio_s": 31.4}))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "service": "gateway",
        "logger": "test",
        "message": "session closed",
        "session": "s1",
        "audio_s": 31.4,
    }


def test_what_is_below_the_level_is_not_written() -> None:
    assert _lines(lambda log: log.debug("detail")) == []


def test_a_traceback_is_one_field() -> None:
    def fail(log: logging.Logger) -> None:
        try:
            raise ValueError("broken")
        except ValueError:
            log.exception("it failed")

    (line,) = _lines(fail)
    assert line["traceback"].endswith("ValueError: broken")


def test_a_field_that_json_cannot_hold_is_shown_as_its_type() -> None:
    (line,) = _lines(lambda log: log.info("odd", extra={"thing": object()}))
    assert line["thing"] == "object"


def test_an_exception_flag_without_an_exception_does_no_harm() -> None:
    (line,) = _lines(lambda log: log.error("odd", exc_info=True))
    assert "traceback" not in line


def test_configuring_again_replaces_the_output() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("info", service="a", stream=first)
    logs.configure("info", service="b", stream=second)
    logging.getLogger("test").info("once")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_warnings_of_python_are_logged() -> None:
    stream = io.StringIO()
    logs.configure("info", service="a", stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("careful", UserWarning, stacklevel=1)
    assert "careful" in json.loads(stream.getvalue())["message"]


def test_text_for_people_is_a_line_with_fields_and_the_traceback_below() -> None:
    stream = io.StringIO()
    logs.configure("info", service="gateway", log_format="text", stream=stream)
    log = logging.getLogger("test")
    log.info("session closed", extra={"session": "s1"})
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("it failed")
    first, second, *trace = stream.getvalue().splitlines()
    assert first.endswith("INFO    gateway: session closed session=s1")
    assert second.endswith("ERROR   gateway: it failed")
    assert trace[-1] == "ValueError: broken"


def _lines(write: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    logs.configure("info", service="gateway", stream=stream)
    write(logging.getLogger("test"))
    return [json.loads(line) for line in stream.getvalue().splitlines()]
