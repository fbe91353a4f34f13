"""Fixtures of the archive's tests: a database of each kind, and moves made in one line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from archive import Decision


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | None]:
    """A database of its own: None for the run folder's SQLite file, or a fresh PostgreSQL database's URL."""
    if request.param == "sqlite":
        yield None
        return
    server = os.environ.get("CLADE_TEST_POSTGRES")
    if not server:
        pytest.skip("PostgreSQL NOT TESTED: set CLADE_TEST_POSTGRES to the URL of a database that tests may empty")
    name = f"clade_test_{os.getpid()}_{abs(hash(str(tmp_path))) % 10**9}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        admin.dispose()


@pytest.fixture
def decide() -> Callable[..., Decision]:
    """Makes numbered decisions as a policy would: `decide("expand", 0)`, `decide("evaluate", 0, "task")`."""
    numbers = count(1)

    def make(move: str, agent: int, task: str | None = None) -> Decision:
        at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        return Decision(next(numbers), "test", move, agent, task, '{"draw": 0.5}', at)

    return make
