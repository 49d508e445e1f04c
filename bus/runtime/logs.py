"""Logging of a process: stdlib records with fields, one line each on stderr.

Messages are constant; what varies stands in `extra`. No user words, keys or tokens in either.
"""

import logging
import sys
import time
import traceback
from typing import Any, Literal, TextIO

import msgspec

# Everything a plain record has; the rest came in by `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(
    level: str, *, service: str, log_format: Literal["json", "text"] = "json", stream: TextIO | None = None
) -> None:
    """Send all logging of this process to `stream` (stderr), from `level` up; replaces what was configured before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(service) if log_format == "json" else TextFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, service, logger, message, then the record's own fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Never raises for a field that JSON cannot hold: it is shown as its type's name."""
        line = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if (trace := _trace(record)) is not None:
            line["traceback"] = trace
        return msgspec.json.encode(line, enc_hook=_type_name).decode()


class TextFormatter(logging.Formatter):
    """For people: time, level, service, message, then `name=value` for each field."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback below it if there is one."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{clock} {record.levelname:<7} {self._service}: {record.getMessage()}{fields}"
        trace = _trace(record)
        return line if trace is None else f"{line}\n{trace}"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _trace(record: logging.LogRecord) -> str | None:
    if not record.exc_info or record.exc_info[1] is None:
        return None
    return "".join(traceback.format_exception(record.exc_info[1])).rstrip()


def _time(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{milliseconds:03d}Z"


def _type_name(value: Any) -> str:
    return type(value).__name__
