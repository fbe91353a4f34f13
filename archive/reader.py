"""Reading an archive: notes, rows, events and calls from SQL, agents' files from git."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Literal, Self

from sqlalchemy import Engine, inspect, select

from archive import engine as database
from archive import history, schema, textdiff
from archive.errors import ArchiveError
from archive.history import History
from archive.memory import Memory
from archive.place import begun, kept_url
from archive.records import Agent, Bill, Call, Decision, Evaluation, Event, Expansion
from archive.repository import Repository


class Reader:
    """What can be asked of a run folder's archive; `Archive` adds writing, and is what callers open."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder = folder
        self._engine = engine
        self._repository = Repository(folder / "agents.git")

    @staticmethod
    def exists(folder: Path, *, url: str | None = None) -> bool:
        """Whether there is an archive to open; False also for one whose creation was cut off, which `create` redoes."""
        folder = folder.absolute()
        url = kept_url(folder) if url is None else url
        if not begun(folder, url):
            return False
        engine = database.connect(folder, url, write=False)
        with database.transaction(engine) as connection:
            found = inspect(connection).has_table(schema.meta.name)
        engine.dispose()
        return found

    def close(self) -> None:
        """Release the database and the folder. Safe to call twice."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def about(self) -> Mapping[str, str]:
        """All notes, `created` among them."""
        with database.transaction(self._engine) as connection:
            return MappingProxyType(dict(connection.execute(select(schema.meta).order_by(schema.meta.c.key)).all()))

    def history(self) -> History:
        """All rows, in the order of their ids."""
        with database.transaction(self._engine) as connection:
            return history.load(connection)

    def agent(self, id: int) -> Agent:
        """The agent of that id. Raises: `ArchiveError` if there is none."""
        return self._rows().agent(id)

    def evaluations_of(self, agent: int) -> tuple[Evaluation, ...]:
        """One agent's evaluations, in the order of their ids."""
        return self._rows().evaluations_of(agent)

    def shapes(self) -> frozenset[str]:
        """The shapes of all agents."""
        return self._rows().shapes()

    def twin(self, shape: str) -> int | None:
        """The oldest agent of that shape, if there is one."""
        return self._rows().twin(shape)

    def calls(self, kind: Literal["expansion", "evaluation"] | None = None, id: int | None = None) -> tuple[Call, ...]:
        """Model calls in the order they were stored: all, those of one kind of move, or those of one move."""
        query = select(schema.calls).order_by(schema.calls.c.id)
        if kind is not None:
            column = schema.calls.c[kind]
            query = query.where(column.is_not(None) if id is None else column == id)
        elif id is not None:
            raise ArchiveError("calls of one move need its kind: expansion or evaluation")
        with database.transaction(self._engine) as connection:
            return tuple(schema.call_of(row) for row in connection.execute(query).mappings())

    def decisions(self) -> tuple[Decision, ...]:
        """All decisions by their number."""
        with database.transaction(self._engine) as connection:
            rows = connection.execute(select(schema.decisions).order_by(schema.decisions.c.number)).mappings()
            return tuple(schema.decision_of(row) for row in rows)

    def events(self, kind: str | None = None) -> tuple[Event, ...]:
        """Events in their order: all, or those of one kind."""
        query = select(schema.events).order_by(schema.events.c.id)
        if kind is not None:
            query = query.where(schema.events.c.kind == kind)
        with database.transaction(self._engine) as connection:
            return tuple(schema.event_of(row) for row in connection.execute(query).mappings())

    def spent(self) -> Bill:
        """What all closed moves cost together."""
        return self.history().spent()

    def files(self, agent: int) -> dict[str, bytes]:
        """An agent's files, byte for byte, by path."""
        return self._repository.files(self.agent(agent).commit)

    def diff(self, before: int, after: int) -> str:
        """The unified diff from one agent's files to another's."""
        return textdiff.unified(self.files(before), self.files(after))

    def folder_of(self, move: Expansion | Evaluation) -> Path:
        """The move's log folder, `logs/expansion-<id>` or `logs/evaluation-<id>`; a writer finds it made."""
        kind = "expansion" if isinstance(move, Expansion) else "evaluation"
        return self.folder / "logs" / f"{kind}-{move.id}"

    def _rows(self) -> History | Memory:
        """What rows are asked of."""
        return self.history()
