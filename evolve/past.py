"""What past runs measured, at the prices of the run to come: the moves that an estimate is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archive import INTERRUPTED, Archive, History, Outcome
from evolve.forecast import Sample
from evolve.llm import Model, Role, Usage, open_models
from evolve.llm.spending import LEDGER, Entry, read_book
from evolve.settings import FILE, Settings, load
from evolve.state import attempts


@dataclass(frozen=True, slots=True)
class Past:
    """What runs measured, at the prices of the run to come."""

    evaluations: tuple[Sample, ...] = ()
    expansions: tuple[Sample, ...] = ()
    stand_in: tuple[Sample, ...] = ()
    """The evaluations at the price of the improving model: what is reckoned for an expansion if none was measured."""
    notes: tuple[str, ...] = ()
    """What makes it less comparable."""

    def __add__(self, other: Past) -> Past:
        notes = (*self.notes, *(note for note in other.notes if note not in self.notes))
        return Past(
            self.evaluations + other.evaluations,
            self.expansions + other.expansions,
            self.stand_in + other.stand_in,
            notes,
        )


def rows_of(folder: Path) -> tuple[History, Mapping[str, str]]:
    """A run's rows and notes; none where it has no archive yet."""
    settings = load(folder) if (folder / FILE).exists() else None
    url = None if settings is None else settings.database
    if not Archive.exists(folder, url=url):
        return History(), {}
    with Archive.open(folder, url=url) as archive:
        return archive.history(), dict(archive.about)


def past_of(folder: Path, settings: Settings) -> Past:
    """The moves of a run of the same benchmark, priced for `settings`; nothing of one of another benchmark."""
    own = load(folder)
    if own.benchmark_name != settings.benchmark_name:
        return Past()
    history, _ = rows_of(folder)
    entries: dict[str, list[Entry]] = {}
    for entry in read_book(folder / LEDGER).lost().entries:
        entries.setdefault(entry.move, []).append(entry)
    before, now = prices(own), prices(settings)
    evaluations, stand_in, expansions = [], [], []
    for row in history.evaluations:
        if row.outcome is None or row.reason == INTERRUPTED or row.source or row.benchmark != settings.benchmark_name:
            continue
        calls = entries.get(f"evaluation-{row.id}", [])
        counts = row.passed or row.failed
        evaluations.append(sample(calls, row.seconds, before, now, counts=counts))
        stand_in.append(sample(calls, row.seconds, before, now, counts=counts, instead="improve"))
    for attempt in attempts(history):
        if attempt.outcome is not None:
            calls = entries.get(f"expansion-{attempt.id}", [])
            counts, born = attempt.outcome is not Outcome.VOID, attempt.outcome is Outcome.BORN
            expansions.append(sample(calls, attempt.seconds, before, now, counts=counts, born=born))
    return Past(tuple(evaluations), tuple(expansions), tuple(stand_in), notes(before, now) if evaluations else ())


def prices(settings: Settings) -> dict[Role, Model]:
    """The models by role, for their labels and prices: no service is opened. Raises: `ModelError`."""
    models = settings.models
    return open_models(
        models.roles,
        settings.providers,
        parameters=models.parameters,
        max_output_tokens=models.max_output_tokens,
        unplugged=True,
    )


def sample(
    calls: Sequence[Entry],
    seconds: float,
    before: Mapping[Role, Model],
    now: Mapping[Role, Model],
    *,
    counts: bool,
    born: bool = False,
    instead: Role | None = None,
) -> Sample:
    """A past move at today's prices: its tokens, and its dollars times the ratio of the two prices for such a call.

    `instead`: as if all its calls were made in that role.
    """
    usd = sum(repriced(entry, before, now, instead) for entry in calls)
    tokens = sum(entry.cost.input_tokens + entry.cost.output_tokens for entry in calls)
    return Sample(usd, tokens, seconds, counts, born)


def repriced(entry: Entry, before: Mapping[Role, Model], now: Mapping[Role, Model], instead: Role | None) -> float:
    """What a past call would cost now."""
    role = next((role for role in now if role == entry.role), None)
    if role is None or role not in before or before[role].label != entry.model:
        return entry.cost.usd  # of a model that the run's settings do not name, such as the life check's
    old, new = before[role], now[instead or role]
    if (old.label, old.price) == (new.label, new.price):
        return entry.cost.usd
    cost = entry.cost
    usage = Usage(cost.input_tokens, cost.cached_tokens, entry.cache_write_tokens, cost.output_tokens)
    paid = old.price.of(usage)
    return entry.cost.usd * new.price.of(usage) / paid if paid > 0 else new.price.of(usage)


def notes(before: Mapping[Role, Model], now: Mapping[Role, Model]) -> tuple[str, ...]:
    """What makes a past run less comparable."""
    found = []
    for role, model in now.items():
        if role in before and before[role].label != model.label:
            found.append(
                f"{role} was {before[role].label} and will be {model.label}: reckoned with the same tokens at its price"
            )
        elif role in before and model.price.hour is not None and before[role].price != model.price:
            found.append(f"the hours of the machine of {model.label} are not in the dollars: their price has changed")
    return tuple(found)
