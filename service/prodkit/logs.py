"""JSON logs on stdout, one object per line, for everything in the process.

Application code uses `structlog.get_logger()`; the standard library's loggers (uvicorn, sqlalchemy, asyncio)
go through the same renderer. Every line inside of a request carries its ids.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import BinaryIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from prodkit import correlation

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(*, level: str = "info", fields: dict[str, str] | None = None) -> None:
    """Send all logs of this process to stdout as JSON. `fields` stand on every line (service, version).

    The only function of prodkit that changes process-wide state; the entry point calls it once.
    """
    number = _LEVELS[level]
    chain = _processors(fields or {})
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, *chain, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=False,
    )
    handler = _BytesHandler(sys.stdout.buffer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, *chain],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render_text],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in ("uvicorn.error", "asyncio", "aiosqlite", "sqlalchemy.engine"):  # only chatter below warning
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def add_request_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Processor: the ids of the request being handled, if any."""
    context = correlation.current()
    if context is not None:
        event.setdefault("request_id", context.request_id)
        event.setdefault("trace_id", context.trace_id)
        event.setdefault("span_id", context.span_id)
    return event


def render(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    """Processor: the line itself. JSON escapes control characters, so that nobody can forge a line."""
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)


def _render_text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    return render(logger, method, event).decode()


def _add_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def _adder(fields: dict[str, str]) -> structlog.typing.Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.update(fields)
        return event

    return add


def _processors(fields: dict[str, str]) -> list[structlog.typing.Processor]:
    return [_add_time, _adder(fields), add_request_ids, structlog.processors.format_exc_info]


class _BytesHandler(logging.Handler):
    """Writes whole lines to the same binary stream as structlog, so that lines never mix."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._stream.write(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
            self._stream.flush()
        except Exception:  # noqa: BLE001  a log line must never fail the work it describes
            self.handleError(record)
