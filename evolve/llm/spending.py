"""What a run's models cost, read from its ledger and told by role, model, move, agent, task or day. Read-only.

The ledger may be written by a run at this moment, or be left by one that was killed; no lock is taken. Pure functions
but for `read_book`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from archive import Bill, Evaluation, Expansion, History
from evolve.llm.ledger import LOST
from evolve.llm.ledgerfile import Noted, Reserved, Settled, foreign, parse
from evolve.llm.tallies import Worst

LEDGER = "ledger.jsonl"
"""Its name in a run's folder."""
REPLAYED = "replayed"
"""Status of a call that a cassette answered: booked as the original, so that a replay decides alike, but not paid."""

By = Literal["role", "model", "move", "agent", "task", "day"]
BYS: tuple[By, ...] = ("role", "model", "move", "agent", "task", "day")

NO_ROW = "–"
"""Where the archive has no row of a call's move."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One call that has ended."""

    scope: str
    move: str
    role: str
    model: str
    at: datetime
    """When it ended; in ledgers of earlier versions, when it began."""
    cost: Bill
    status: str
    measured: bool
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def paid(self) -> bool:
        return self.status != REPLAYED


@dataclass(frozen=True, slots=True)
class Book:
    """All that a ledger says."""

    entries: tuple[Entry, ...] = ()
    open: tuple[Reserved, ...] = ()
    """Calls that have not ended: they are under way, or their process died."""
    events: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By model, how often something was done to a request or an answer."""

    def lost(self) -> Book:
        """As the ledger counts when it is opened after its process died: what was open is charged in full."""
        entries = [
            Entry(each.scope, each.move, each.role, each.model, _moment(each.at), _full(each.worst), LOST, False)
            for each in self.open
        ]
        return Book((*self.entries, *entries), (), self.events)


@dataclass(frozen=True, slots=True)
class Sum:
    """What some calls cost together."""

    bill: Bill = field(default_factory=Bill)
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    """0 also where the service does not tell."""
    unmeasured: int = 0
    """Calls charged at their worst case because nobody told what they really cost, lost ones included."""
    lost: int = 0
    """Calls whose process died."""

    @property
    def cached_share(self) -> float | None:
        """Of the prompts' tokens, those read from the service's cache."""
        return self.bill.cached_tokens / self.bill.input_tokens if self.bill.input_tokens else None


def read_book(path: Path) -> Book:
    """The ledger at `path`; an empty one if there is none. A line that is being written is left out.

    Raises: `ModelError` naming the first line that is not a ledger's; `OSError`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Book()
    entries: list[Entry] = []
    left_open: dict[int, Reserved] = {}
    events: dict[str, Counter[str]] = {}
    for number, line in enumerate(parse(content[: content.rfind(b"\n") + 1], path), start=1):
        match line:
            case Noted():
                events.setdefault(line.model, Counter()).update(line.events)
            case Reserved() if line.id not in left_open:
                left_open[line.id] = line
            case Settled() if line.id in left_open:
                entries.append(_entry(left_open.pop(line.id), line))
            case _:
                raise foreign(path, number, KeyError(line.id))
    return Book(tuple(entries), tuple(left_open.values()), {model: dict(count) for model, count in events.items()})


def total(entries: Iterable[Entry]) -> Sum:
    """The sum of some calls, its dollars rounded once."""
    entries = tuple(entries)
    return Sum(
        Bill(
            len(entries),
            sum(each.cost.input_tokens for each in entries),
            sum(each.cost.cached_tokens for each in entries),
            sum(each.cost.output_tokens for each in entries),
            math.fsum(each.cost.usd for each in entries),
        ),
        sum(each.cache_write_tokens for each in entries),
        sum(each.reasoning_tokens for each in entries),
        sum(not each.measured for each in entries),
        sum(each.status == LOST for each in entries),
    )


def grouped(entries: Iterable[Entry], by: Callable[[Entry], str]) -> dict[str, Sum]:
    """Sums by what `by` says of a call, the dearest first; without dollars, the one with the most tokens."""
    groups: dict[str, list[Entry]] = {}
    for each in entries:
        groups.setdefault(by(each), []).append(each)
    sums = {name: total(group) for name, group in groups.items()}
    return dict(sorted(sums.items(), key=lambda item: (-item[1].bill.usd, -_tokens(item[1]), item[0])))


def teller(by: By, history: History) -> Callable[[Entry], str]:
    """How a call is named when costs are told by `by`; agents and tasks are those of the archive's rows."""
    evaluations = {f"evaluation-{row.id}": row for row in history.evaluations}
    expansions = {f"expansion-{row.id}": row for row in history.expansions}

    def row(entry: Entry) -> Evaluation | Expansion | None:
        return evaluations.get(entry.move) or expansions.get(entry.move)

    def agent(entry: Entry) -> str:
        found = row(entry)
        return NO_ROW if found is None else str(found.agent if isinstance(found, Evaluation) else found.parent)

    def task(entry: Entry) -> str:
        found = row(entry)
        if found is None:
            return NO_ROW
        return found.task if isinstance(found, Evaluation) else f"expansion for {found.entry}"

    tellers: dict[By, Callable[[Entry], str]] = {
        "role": lambda entry: entry.role,
        "model": lambda entry: entry.model,
        "move": lambda entry: entry.move,
        "agent": agent,
        "task": task,
        "day": lambda entry: f"{entry.at:%Y-%m-%d}",
    }
    return tellers[by]


def _entry(reserved: Reserved, settled: Settled) -> Entry:
    return Entry(
        reserved.scope,
        reserved.move,
        reserved.role,
        reserved.model,
        _moment(reserved.at if settled.at is None else settled.at),
        settled.cost,
        settled.status,
        settled.measured,
        settled.cache_write_tokens,
        settled.reasoning_tokens,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _full(worst: Worst) -> Bill:
    return Bill(1, worst.input_tokens, 0, worst.output_tokens, worst.usd)


def _tokens(group: Sum) -> int:
    return group.bill.input_tokens + group.bill.output_tokens
