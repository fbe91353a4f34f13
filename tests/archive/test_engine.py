"""Opening what is there: schemas of other versions, broken files, read-only media, other databases."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from archive import Archive, ArchiveError, Outcome, holder, schema
from archive import engine as database

DATA = Path(__file__).parent / "data"
NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("agents", sa.Column("nickname", sa.Text(), nullable=False, server_default="x"))
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with Archive.create(tmp_path / "run") as archive:
        archive.add_seed({"__main__.py": b""}, "shape")
    return tmp_path / "run"


def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path: Path, url: str | None) -> None:
    Archive.create(tmp_path / "run", url=url).close()
    engine = database.connect(tmp_path / "run", url, write=True)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()


def test_sqlite_is_set_up_to_survive_a_power_cut(run: Path) -> None:
    engine = database.connect(run, None, write=True)
    with engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    engine.dispose()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_an_archive_of_version_1_still_opens(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(DATA / "v1" / "agents", folder / "agents.git")
    for empty in ("objects/info", "objects/pack", "refs/tags"):
        (folder / "agents.git" / empty).mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / "archive.db")
    connection.executescript((DATA / "v1" / "archive.sql").read_text("utf-8"))
    connection.close()
    with Archive.open(folder, write=True) as archive:
        history = archive.history()
        assert [(agent.id, agent.parent) for agent in history.agents] == [(0, None), (1, 0)]
        assert [row.outcome for row in history.expansions] == [Outcome.BORN, Outcome.DUPLICATE]
        assert [row.outcome for row in history.evaluations] == [Outcome.RESOLVED, Outcome.TIMED_OUT, None]
        assert archive.about["name"] == "version one"
        assert archive.files(1)["data.bin"] == b"\0\xff"
        assert archive.spent().usd == pytest.approx(0.75)
        assert archive.decisions()[0].policy == "hgm"
        assert archive.void_open() == 1
        assert [row.peer for row in history.expansions] == [None, None]
        assert archive.event("kind", {"a": 1}) == archive.events()[0]
        assert len(archive.calls()) > 0


def test_an_older_schema_is_upgraded_by_a_writer_and_a_newer_one_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = tmp_path / "migrations"
    shutil.copytree(database.MIGRATIONS, newer, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "versions" / "v0004_next.py").write_text(NEXT)
    known = database.MIGRATIONS
    monkeypatch.setattr(database, "MIGRATIONS", newer)
    with pytest.raises(ArchiveError, match="older version: resume the run"):
        Archive.open(run)
    Archive.open(run, write=True).close()
    connection = sqlite3.connect(run / "archive.db")
    assert connection.execute("SELECT nickname FROM agents").fetchall() == [("x",)]
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0004",)]
    connection.close()
    monkeypatch.setattr(database, "MIGRATIONS", known)
    for write in (False, True):
        with pytest.raises(ArchiveError, match="schema 0004, newer than this version of clade: upgrade clade"):
            Archive.open(run, write=write)


def test_an_upgrade_that_fails_leaves_the_old_schema(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = tmp_path / "migrations"
    shutil.copytree(database.MIGRATIONS, newer, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "versions" / "v0004_next.py").write_text(NEXT + '    op.execute("SELECT * FROM nowhere")\n')
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", newer)
        with pytest.raises(ArchiveError, match="nowhere"):
            Archive.open(run, write=True)
    with Archive.open(run, write=True) as archive:
        assert len(archive.history().agents) == 1


def test_where_there_is_no_archive(tmp_path: Path, run: Path) -> None:
    with pytest.raises(ArchiveError, match="there is no archive in"):
        Archive.open(tmp_path / "nothing")
    assert Archive.exists(run)
    assert not Archive.exists(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (run / "archive.db").unlink()
    for write in (False, True):
        with pytest.raises(ArchiveError, match=r"lacks agents\.git or archive\.db"):
            Archive.open(run, write=write)
    assert not (run / "archive.db").exists()


def test_a_file_that_is_no_database(run: Path) -> None:
    (run / "archive.db").write_bytes(b"not a database " * 100)
    with pytest.raises(ArchiveError, match="not a database"):
        Archive.open(run)


def test_a_creation_that_was_cut_off_is_completed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "agents.git" / "objects").mkdir(parents=True)
    sqlite3.connect(folder / "archive.db").executescript("PRAGMA journal_mode=WAL").close()
    with pytest.raises(ArchiveError, match="there is no archive in"):
        Archive.open(folder)
    assert not Archive.exists(folder)
    with Archive.create(folder) as archive:
        archive.add_seed({"a": b""}, "s")
    with Archive.open(folder) as archive:
        assert archive.files(0) == {"a": b""}


def test_a_read_only_medium_can_be_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not bind every user that tests run as, so the check for them is answered here.
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))
    with Archive.open(run) as archive:
        assert len(archive.history().agents) == 1
    assert not list(run.glob("archive.db-*"))


def test_a_carried_folder_is_the_archive(run: Path, tmp_path: Path) -> None:
    with Archive.open(run, write=True) as archive:
        archive.note("written", "just now")
        shutil.copytree(run, tmp_path / "copy")
    with Archive.open(tmp_path / "copy", write=True) as archive:
        assert archive.about["written"] == "just now"
        assert archive.files(0) == {"__main__.py": b""}


@pytest.mark.parametrize("url", ["no url", "sqlite://", "sqlite:///:memory:", "nosuchdb://host/name"])
def test_a_url_that_leads_nowhere(tmp_path: Path, url: str) -> None:
    with pytest.raises(ArchiveError, match=r"URL|needs a file"):
        Archive.create(tmp_path / "run", url=url)


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="database failed"):
        Archive.create(tmp_path / "run", url=f"postgresql+psycopg2://me@/db?host={tmp_path}")
    assert not Archive.exists(tmp_path / "run")
    assert holder(tmp_path / "run") is None


def test_a_url_is_remembered_without_its_password(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    with Archive.create(tmp_path / "run", url=url) as archive:
        archive.note("a", "b")
    with Archive.open(tmp_path / "run") as archive:
        assert archive.about["a"] == "b"
    kept = database.without_password("postgresql://me:secret@host:5/db?sslmode=require&password=secret")
    assert kept == "postgresql://me@host:5/db?sslmode=require"
    with pytest.raises(ArchiveError, match="already"):
        Archive.create(tmp_path / "run")
    with pytest.raises(ArchiveError, match="already"):
        Archive.create(tmp_path / "other", url=url)
