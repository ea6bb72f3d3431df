"""What tables have in common."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import DeclarativeBase


class Table(DeclarativeBase):
    """Base of all tables."""


def utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; we only ever write UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
