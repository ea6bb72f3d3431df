"""Spans as OTLP protobuf, written by hand where a span is plain: OpenTelemetry's encoder costs more than the span.

A span of a request has the same names and mostly the same values as the one before it, so the bytes of an attribute
are made once. A span with anything else than scalar attributes (events, links, lists, text that is no Unicode) goes
through OpenTelemetry's own encoder: two protobuf messages one after the other are one message with the fields of both,
so the two mix freely. A test compares what both say about a span.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

Scalar = str | bool | int | float
_SCALARS = (str, bool, int, float)
_CACHED_CHARS = 64  # longer values are one request's own, and would only fill the cache
_MOST_FRAMES = 64
_NO_STATUS = b"\x7a\x00"  # field 15, an empty message: UNSET
_REMOTE_KNOWN, _REMOTE = 0x100, 0x200  # SpanFlags: whether the parent is remote is known, and it is
_TIMES = struct.Struct("<BQBQ")  # fields 7 and 8, fixed64
_FLAGS = struct.Struct("<HI")  # field 16, fixed32: its tag has two bytes
_DOUBLE = struct.Struct("<Bd")


class PlainSpanExporter(OTLPSpanExporter):
    """OpenTelemetry's exporter (its connection, retries and time-outs) with our encoding."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch."""
        if self._shutdown:
            return SpanExportResult.FAILURE
        done = self._client.export(encode(spans))
        return SpanExportResult.SUCCESS if done.success else SpanExportResult.FAILURE


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """An `ExportTraceServiceRequest` with these spans."""
    plain: dict[_Frame, list[bytes]] = {}
    others: list[ReadableSpan] = []
    for span in spans:
        encoded = _span(span)
        if encoded is None:
            others.append(span)
        else:
            plain.setdefault(_frame_of(span), []).append(encoded)
    parts = [frame.around(b"".join(encoded)) for frame, encoded in plain.items()]
    if others:
        parts.append(encode_spans(others).SerializePartialToString())
    return b"".join(parts)


class _Frame:
    """What stands around the spans of one tracer: resource and scope, encoded once."""

    def __init__(self, span: ReadableSpan) -> None:
        self.of = (span.resource, span.instrumentation_scope)  # held, so that no other object gets their ids
        message = encode_spans([span])
        [resource] = message.resource_spans
        [scope] = resource.scope_spans
        del scope.spans[:]
        self._scope = scope.SerializeToString()
        del resource.scope_spans[:]
        self._resource = resource.SerializeToString()

    def around(self, spans: bytes) -> bytes:
        return _field(0x0A, self._resource + _field(0x12, self._scope + spans))


_frames: dict[tuple[int, int], _Frame] = {}


def _frame_of(span: ReadableSpan) -> _Frame:
    key = (id(span.resource), id(span.instrumentation_scope))
    frame = _frames.get(key)
    if frame is None:
        if len(_frames) >= _MOST_FRAMES:
            _frames.clear()
        frame = _frames[key] = _Frame(span)
    return frame


def _span(span: ReadableSpan) -> bytes | None:
    """One element of `ScopeSpans.spans`; None when it is not plain."""
    context, parent = span.context, span.parent
    if context is None or span.start_time is None or span.end_time is None:
        return None
    if span.events or span.links or span.dropped_attributes or span.status.description:
        return None
    try:
        parts = [
            b"\x0a\x10" + context.trace_id.to_bytes(16, "big"),
            b"\x12\x08" + context.span_id.to_bytes(8, "big"),
        ]
        if context.trace_state:
            parts.append(_field(0x1A, context.trace_state.to_header().encode()))
        if parent is not None:
            parts.append(b"\x22\x08" + parent.span_id.to_bytes(8, "big"))
        parts += (
            _text(0x2A, span.name),
            b"\x30" + bytes((span.kind.value + 1,)),  # OTLP counts from 1: 0 is "unspecified"
            _TIMES.pack(0x39, span.start_time, 0x41, span.end_time),
        )
        attributes: Any = span.attributes or {}
        for key, value in attributes.copy().items():  # a copy: reading them one by one takes a lock for each
            if type(value) not in _SCALARS:
                return None
            small = type(value) is not str or len(value) <= _CACHED_CHARS
            parts.append((_attribute if small else _attribute.__wrapped__)(key, value))
    except (UnicodeEncodeError, struct.error, OverflowError):
        return None
    code = span.status.status_code.value
    parts.append(b"\x7a\x02\x18" + bytes((code,)) if code else _NO_STATUS)
    remote = parent is not None and parent.is_remote
    parts.append(_FLAGS.pack(0x0185, _REMOTE_KNOWN | _REMOTE if remote else _REMOTE_KNOWN))
    return _field(0x12, b"".join(parts))


@lru_cache(maxsize=2048, typed=True)  # typed: 1, 1.0 and True are equal, and are three values
def _attribute(key: str, value: Scalar) -> bytes:
    """One element of `Span.attributes`."""
    if isinstance(value, str):
        encoded = _text(0x0A, value)
    elif isinstance(value, bool):
        encoded = b"\x10\x01" if value else b"\x10\x00"
    elif isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError
        encoded = b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    else:
        encoded = _DOUBLE.pack(0x21, value)
    return _field(0x4A, _text(0x0A, key) + _field(0x12, encoded))


def _text(tag: int, text: str) -> bytes:
    return _field(tag, text.encode())


def _field(tag: int, content: bytes) -> bytes:
    """A field of bytes: tag, length, content."""
    size = len(content)
    return (bytes((tag, size)) if size < 128 else bytes((tag,)) + _varint(size)) + content


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)
