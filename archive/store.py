"""The archive: one run's agents, moves and decisions, kept in SQL and git, and the only thing that writes them.

A move's row is committed before its work starts and closed exactly once. A birth is stored in git first and named in
SQL after, in one transaction with its bill: killed in between, it leaves only a commit that nobody refers to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, Table, func, insert, inspect, select, update

from archive import engine as database
from archive import history, schema
from archive.errors import ArchiveError
from archive.history import History
from archive.lock import WriterLock
from archive.memory import Memory, next_id
from archive.moves import check_child, checked_seed, closed, still_open
from archive.place import URL_FILE, begun, kept_url, named
from archive.reader import Reader
from archive.records import INTERRUPTED, Agent, Call, Decision, Evaluation, Event, Expansion, Outcome
from archive.repository import Repository


class Archive(Reader):
    """One run folder's archive, open for reading, or for writing by exactly one process and thread.

    Every method raises `ArchiveError` when the database cannot be read or written. A writer keeps all rows in memory:
    `history` copies them once after each write, and what is asked of one agent costs the same however many rows there
    are. A reader loads all rows anew each time, and sees what was committed by then.
    """

    def __init__(self, folder: Path, engine: Engine, lock: WriterLock | None) -> None:
        """Use `Archive.create` or `Archive.open`."""
        super().__init__(folder, engine)
        self._lock = lock
        self._claim: Connection | None = None
        self._memory = Memory(History())
        """Of a writer only."""

    @classmethod
    def create(cls, folder: Path, *, url: str | None = None, about: Mapping[str, str] | None = None) -> Self:
        """Make a new archive in a run folder and open it for writing.

        Args:
            folder: the run folder; made if it is not there. It may hold other files.
            url: SQLAlchemy URL of an empty database, instead of `archive.db` in the folder. Its password is not kept:
                give the URL again to `open`, or leave the password to the driver's own means (PGPASSWORD, ~/.pgpass).
            about: the first notes.

        A creation that was cut off is completed by the next one. Raises: `ArchiveError` if there is an archive already.
        """
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        archive = cls(folder, database.connect(folder, url, write=True), WriterLock(folder))
        try:
            (folder / "logs").mkdir(exist_ok=True)
            Repository.create(folder / "agents.git")
            # Either way of keeping the rows excludes the other: one agents.git belongs to one set of rows.
            if (folder / (URL_FILE if url is None else database.FILE)).exists():
                raise ArchiveError(f"there is an archive in {folder} already: open it, or name another folder")
            archive._claim = database.claim(archive._engine)
            with archive._write() as connection:
                if inspect(connection).has_table(schema.meta.name):
                    place = named(folder, url)
                    raise ArchiveError(f"there is an archive in {place} already: open it, or name another")
                if url is not None:
                    (folder / URL_FILE).write_text(database.without_password(url) + "\n", "utf-8")
                database.upgrade_schema(connection)
                for key, value in {"created": datetime.now(UTC).isoformat(), **(about or {})}.items():
                    connection.execute(insert(schema.meta).values(key=key, value=schema.storable(value)))
        except BaseException:
            archive.close()
            raise
        return archive

    @classmethod
    def open(cls, folder: Path, *, write: bool = False, url: str | None = None) -> Self:
        """Open a run folder's archive; for writing, lock the folder and bring an older schema up to date.

        Raises: `ArchiveError` if there is no archive, its schema is newer than this version, or (to write) another
        process writes it, or (to read) its schema is older and has yet to be upgraded by a writer.
        """
        folder = folder.absolute()
        url = kept_url(folder) if url is None else url
        if not begun(folder, url):
            raise ArchiveError(f"there is no archive in {folder}: it lacks agents.git or {database.FILE}")
        engine = database.connect(folder, url, write=write)
        archive = cls(folder, engine, WriterLock(folder) if write else None)
        try:
            if write:
                archive._claim = database.claim(engine)
            with database.transaction(engine) as connection:
                current = database.check_schema(connection, named(folder, url))
                if not current and not write:
                    raise ArchiveError(f"the archive in {folder} is of an older version: resume the run to upgrade it")
                if not current:
                    database.upgrade_schema(connection)
                if write:
                    archive._memory = Memory(history.load(connection))
            if write:
                archive._mark_unmarked()
        except BaseException:
            archive.close()
            raise
        return archive

    def close(self) -> None:
        """Release the database and the folder. Safe to call twice."""
        if self._claim is not None:
            self._claim.invalidate()  # not only back into the pool: the lock ends with the connection
            self._claim.close()
            self._claim = None
        super().close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def history(self) -> History:
        """All rows, in the order of their ids."""
        return super().history() if self._lock is None else self._memory.history()

    def folder_of(self, move: Expansion | Evaluation) -> Path:
        """The move's log folder, `logs/expansion-<id>` or `logs/evaluation-<id>`; a writer finds it made."""
        folder = super().folder_of(move)
        if self._lock is not None:
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def note(self, key: str, value: str) -> None:
        """Set a note."""
        with self._write() as connection:
            table, value = schema.meta, schema.storable(value)
            if not connection.execute(update(table).where(table.c.key == key).values(value=value)).rowcount:
                connection.execute(insert(table).values(key=key, value=value))

    def event(self, kind: str, facts: Mapping[str, Any]) -> Event:
        """Write down that something happened; it is on the disk when this returns. `facts` are JSON-ready."""
        with self._write() as connection:
            last = connection.execute(select(func.max(schema.events.c.id))).scalar_one()
            event = Event(
                (last or 0) + 1, self._memory.moment(), kind, schema.storable(json.dumps(facts, ensure_ascii=True))
            )
            connection.execute(insert(schema.events).values(schema.values_of(event)))
        return event

    def add_seed(self, files: Mapping[str, bytes], shape: str) -> Agent:
        """Store the first agent, id 0."""
        if self._memory.agents:
            raise ArchiveError("the archive has its seed already")
        agent = self._conceive(None, files, shape, "the seed")
        with self._write() as connection:
            connection.execute(insert(schema.agents).values(schema.values_of(agent)))
        self._admit(agent)
        return agent

    def open_expansion(self, decision: Decision, *, entry: str, seed: int, peer: int | None = None) -> Expansion:
        """Commit a decision to expand and the open row of its move. The parent is the decision's agent.

        `peer` is a second agent to learn from, if the decision names one.

        A decision whose earlier moves are all void is taken again under its number and replaces what it said before.
        Raises: `ArchiveError` if it is not to expand, was carried out already, or is about an unknown agent.
        """
        if decision.move != "expand":
            raise ArchiveError(f"decision {decision.number} is to {decision.move}, not to expand")
        row = Expansion(
            next_id(self._memory.expansions),
            decision.number,
            decision.agent,
            schema.storable(entry),
            checked_seed(seed),
            self._memory.moment(),
            peer=None if peer is None else self.agent(peer).id,
        )
        self._open(schema.expansions, row, decision)
        return row

    def open_evaluation(
        self, decision: Decision | None, *, agent: int, benchmark: str, split: str, task: str, attempt: int, seed: int
    ) -> Evaluation:
        """Commit a decision to evaluate and the open row of its move; None when a person asked for it.

        Raises: `ArchiveError` as `open_expansion` does, or if the decision is about another agent or task.
        """
        if decision is not None and (decision.move, decision.agent, decision.task) != ("evaluate", agent, task):
            raise ArchiveError(
                f"decision {decision.number} is to {decision.move} agent {decision.agent} on {decision.task!r}, "
                f"not to evaluate agent {agent} on {task!r}"
            )
        number = None if decision is None else decision.number
        row = Evaluation(
            next_id(self._memory.evaluations),
            number,
            agent,
            benchmark,
            split,
            schema.storable(task),
            attempt,
            checked_seed(seed),
            self._memory.moment(),
        )
        self._open(schema.evaluations, row, decision)
        return row

    def close_expansion(
        self,
        id: int,
        outcome: Outcome,
        *,
        reason: str,
        issue: str = "",
        seconds: float = 0.0,
        calls: Sequence[Call] = (),
        files: Mapping[str, bytes] | None = None,
        shape: str | None = None,
        twin: int | None = None,
    ) -> Expansion:
        """Close an open expansion: its row, its calls and, if it was BORN, its agent, all or nothing.

        Args:
            files, shape: the child's, needed when BORN and refused otherwise.
            twin: the known agent that a DUPLICATE equals, needed then and refused otherwise.

        Raises: `ArchiveError` if the row is unknown or closed, or the outcome does not fit what is given.
        """
        row = still_open(self._memory.expansions, id, "expansion")
        if (files is None) != (shape is None):
            raise ArchiveError(f"expansion {id}: files and shape come together")
        check_child(id, outcome, child=files is not None, twin=twin is not None)
        child = None if twin is None else self.agent(twin).id
        agent = None
        if files is not None and shape is not None:
            agent = self._conceive(row.parent, files, shape, f"expansion {id}, {row.entry!a}")
            child = agent.id
        row = replace(row, issue=schema.storable(issue), child=child)
        row = closed(row, outcome, reason, seconds, calls, self._memory.moment())
        with self._write() as connection:
            if agent is not None:
                connection.execute(insert(schema.agents).values(schema.values_of(agent)))
            _store_closed(connection, schema.expansions, row, calls)
        self._memory.moved(row)
        if agent is not None:
            self._admit(agent)
        return row

    def close_evaluation(
        self,
        id: int,
        outcome: Outcome,
        *,
        reason: str,
        seconds: float = 0.0,
        steps: int = 0,
        calls: Sequence[Call] = (),
        source: str = "",
    ) -> Evaluation:
        """Close an open evaluation: its row and its calls, all or nothing. `source`: see `Evaluation`.

        Raises: `ArchiveError` if the row is unknown or closed, or the outcome is not one of an evaluation.
        """
        row = still_open(self._memory.evaluations, id, "evaluation")
        row = closed(
            replace(row, steps=steps, source=schema.storable(source)),
            outcome,
            reason,
            seconds,
            calls,
            self._memory.moment(),
        )
        with self._write() as connection:
            _store_closed(connection, schema.evaluations, row, calls)
        self._memory.moved(row)
        return row

    def void_open(self, reason: str = INTERRUPTED) -> int:
        """Close as VOID what a dead process left open; how many rows."""
        expansions = [row.id for row in self._memory.expansions.values() if row.outcome is None]
        evaluations = [row.id for row in self._memory.evaluations.values() if row.outcome is None]
        for id in expansions:
            self.close_expansion(id, Outcome.VOID, reason=reason)
        for id in evaluations:
            self.close_evaluation(id, Outcome.VOID, reason=reason)
        return len(expansions) + len(evaluations)

    # Inside

    def _rows(self) -> History | Memory:
        return super()._rows() if self._lock is None else self._memory

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        if self._lock is None:
            raise ArchiveError(f"the archive in {self.folder} is open for reading only")
        with database.transaction(self._engine) as connection:
            yield connection

    def _conceive(self, parent: int | None, files: Mapping[str, bytes], shape: str, origin: str) -> Agent:
        """Store an agent's files in git; the agent that they will be once its row is committed."""
        if self._lock is None:
            raise ArchiveError(f"the archive in {self.folder} is open for reading only")
        id, now = next_id(self._memory.agents, first=0), self._memory.moment()
        child_of = "" if parent is None else f", child of {parent}"
        above = None if parent is None else self.agent(parent).commit
        commit, tree = self._repository.commit(files, above, f"agent {id}{child_of}\n\n{origin}", now)
        return Agent(id, parent, commit, tree, shape, now)

    def _admit(self, agent: Agent) -> None:
        """After its row is committed: the agent's place in memory, and its branch."""
        self._memory.born(agent)
        self._repository.mark(agent.id, agent.commit)

    def _open(self, table: Table, row: Expansion | Evaluation, decision: Decision | None) -> None:
        self.agent(row.parent if isinstance(row, Expansion) else row.agent)
        if decision is not None and self._memory.taken(decision.number):
            raise ArchiveError(f"decision {decision.number} is being carried out, or was already")
        with self._write() as connection:
            if decision is not None:
                _store_decision(connection, decision)
            connection.execute(insert(table).values(schema.values_of(row)))
        self._memory.moved(row)

    def _mark_unmarked(self) -> None:
        """Give agents their branches where a writer died between the row and the branch."""
        marked = self._repository.marked()
        for agent in self._memory.agents.values():
            if agent.id not in marked:
                self._repository.mark(agent.id, agent.commit)


def _store_decision(connection: Connection, decision: Decision) -> None:
    values = schema.values_of(decision)
    table = schema.decisions
    if not connection.execute(update(table).where(table.c.number == decision.number).values(values)).rowcount:
        connection.execute(insert(table).values(values))


def _store_closed(connection: Connection, table: Table, row: Expansion | Evaluation, calls: Sequence[Call]) -> None:
    values = schema.values_of(row)
    connection.execute(update(table).where(table.c.id == row.id).values(values))
    if calls:
        column = "expansion" if isinstance(row, Expansion) else "evaluation"
        connection.execute(insert(schema.calls), [schema.values_of(call) | {column: row.id} for call in calls])
