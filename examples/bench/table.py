"""The great table: every policy in every simulated world, over seeds that nothing was tuned on, as Markdown.

    python examples/bench/table.py [--out studies] [--worlds swe,polyglot] [--policies kin,hgm-paper] [--seeds 1000]
                                   [--first-seed 10000] [--evaluations 800] [--jobs 2] [--show]

Runs are kept in the folder, a file a world and policy; what is there is not simulated again, so it can be stopped with
Ctrl-C and started again. They are made in rounds, all worlds and policies in each, so that what is there at any time
can be shown: `--show` prints it and simulates nothing, also while another process does. A policy may have more seeds
than another; differences are over the seeds that both have. Progress goes to standard error. docs/choosing.md tells how
to read the tables, and holds them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter

from evolve.policies import AnyPolicy
from evolve.settings import POLICIES, SettingsError
from evolve.simulate import (
    PRESETS,
    Estimate,
    Plan,
    Preset,
    Row,
    Study,
    Table,
    Trace,
    collect,
    preset,
    processors,
    table,
)
from evolve.simulate.results import about, read

OWN = "kin"
"""Clade's own policy, which the summary is about."""
REFERENCES = ("hgm-paper", "hgm")
"""Whom all others are compared with: the first that is there, else the first policy."""
ROUND = 250
"""Seeds of every world and policy that are simulated before more seeds of any."""
SAY_EVERY = 20.0
"""Seconds between two lines of progress."""


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parsed(arguments)
    policy_of: TypeAdapter[AnyPolicy] = TypeAdapter(AnyPolicy)
    policies = [policy_of.validate_python({"name": name}) for name in asked.policies]
    worlds = [preset(name) for name in asked.worlds]
    studies = {
        world.name: [
            Study(world.name, world.settings, policy, Plan(evaluations=asked.evaluations, workers=world.workers))
            for policy in policies
        ]
        for world in worlds
    }
    if not asked.show:
        make(list(studies.values()), range(asked.first_seed, asked.first_seed + asked.seeds), asked.out, asked.jobs)
    found = [
        (world, studies[world.name][0].plan, kept(studies[world.name], asked.out, asked.first_seed)) for world in worlds
    ]
    tables = [
        (world, plan, table(world.name, runs, reference_of(runs))) for world, plan, runs in found if len(runs) > 1
    ]
    if not tables:
        raise SettingsError(f"{asked.out} does not hold runs of two policies in one world yet")
    print("\n\n".join(document(tables)))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("studies"))
    parser.add_argument("--worlds", type=listed([each.name for each in PRESETS]), default="all")
    parser.add_argument("--policies", type=listed(POLICIES), default="all")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=10_000)
    parser.add_argument("--evaluations", type=int, default=800)
    parser.add_argument("--jobs", type=int, default=processors())
    parser.add_argument("--show", action="store_true", help="simulate nothing")
    return parser.parse_args(arguments)


def listed(known: Sequence[str]) -> Callable[[str], list[str]]:
    """What turns "a,b" into names, all of which must be known."""

    def names(text: str) -> list[str]:
        found = list(known) if text == "all" else list(dict.fromkeys(text.split(",")))
        if unknown := set(found) - set(known):
            raise argparse.ArgumentTypeError(f"not known: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        return found

    return names


# Simulating


def make(worlds: Sequence[Sequence[Study]], seeds: range, out: Path, jobs: int) -> None:
    """Simulate what is not kept yet, round by round."""
    studies = [study for world in worlds for study in world]
    missing = sum(len(set(seeds) - {trace.seed for trace in runs_of(study, out)}) for study in studies)
    progress = Progress(missing)
    for start in range(seeds.start, seeds.stop, ROUND):
        for world in worlds:
            progress.place = f"{world[0].world}, seeds from {start}"
            collect(world, range(start, min(start + ROUND, seeds.stop)), out, jobs, progress.of)


class Progress:
    """Says now and then how many of all runs are made, and how long the others will take at that pace."""

    def __init__(self, total: int) -> None:
        self.place = ""
        self._total, self._done = total, 0
        self._began = time.monotonic()
        self._said = -SAY_EVERY

    @contextmanager
    def of(self, _runs: int) -> Iterator[Callable[[int], None]]:
        """For `collect`: what is told of runs that were made."""
        yield self._advance

    def _advance(self, runs: int) -> None:
        self._done += runs
        elapsed = time.monotonic() - self._began
        if elapsed - self._said < SAY_EVERY and self._done < self._total:
            return
        self._said = elapsed
        left = elapsed / self._done * (self._total - self._done)
        text = f"{self._done:,} of {self._total:,} runs in {span(elapsed)}, {span(left)} left ({self.place})"
        print(text, file=sys.stderr, flush=True)


def span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def runs_of(study: Study, out: Path) -> tuple[Trace, ...]:
    """The runs of a study that are kept. Raises: `SettingsError` if its file holds another one's."""
    path = out / f"{study.name}.jsonl"
    if not path.exists():
        return ()
    facts, traces = read(path)
    if facts != about(study):
        raise SettingsError(
            f"{path} holds runs of another world, policy, plan or version of Clade; name another folder"
        )
    return traces


def kept(studies: Sequence[Study], out: Path, first_seed: int) -> dict[str, list[Trace]]:
    """All kept runs that the table is about, by policy; policies without any are left out."""
    found = {
        study.policy.name: [trace for trace in runs_of(study, out) if trace.seed >= first_seed] for study in studies
    }
    return {name: traces for name, traces in found.items() if traces}


def reference_of(runs: dict[str, list[Trace]]) -> str:
    return next((name for name in REFERENCES if name in runs), next(iter(runs)))


# Writing


def document(tables: Sequence[tuple[Preset, Plan, Table]]) -> Iterator[str]:
    """The parts of the page: the summary, then world by world."""
    if any(row.policy == OWN for _, _, each in tables for row in each.rows):
        yield from summary(tables)
    for kind, title in (("calibrated", "Worlds like a benchmark"), ("adversarial", "Worlds that mislead")):
        own = [each for each in tables if each[0].kind == kind]
        if own:
            yield f"## {title}"
        for world, plan, found in own:
            yield from section(world, plan, found)


def summary(tables: Sequence[tuple[Preset, Plan, Table]]) -> Iterator[str]:
    """Clade's own policy in all worlds, and what the figures say of it."""
    yield f"## {OWN} in every world"
    rows = [(world, plan, found, row) for world, plan, found in tables for row in found.rows if row.policy == OWN]
    yield markdown(
        (
            "world",
            "",
            f"{OWN}, %",
            "beyond",
            "points",
            "its evaluations to that level",
            "best other",
            "points beyond it",
        ),
        [
            (
                world.name,
                world.kind,
                plus_minus(row.skill),
                found.reference,
                signed(row.difference),
                share(row.to_level, plan.evaluations),
                row.rival or NOTHING,
                signed(row.beyond_rival),
            )
            for world, plan, found, row in rows
        ],
    )
    for kind in ("calibrated", "adversarial"):
        own = [(world.name, row) for world, _, _, row in rows if world.kind == kind]
        if own:
            yield verdict(kind, own)


def verdict(kind: str, rows: Sequence[tuple[str, Row]]) -> str:
    """In how many worlds of a kind the intervals decide."""

    def count(sign: int, of: Callable[[Row], Estimate | None]) -> str:
        names = [name for name, row in rows if decided(of(row)) == sign]
        return f"{len(names)} of {len(rows)}" + (f" ({', '.join(names)})" if names else "")

    def reference(row: Row) -> Estimate | None:
        return row.difference

    def rival(row: Row) -> Estimate | None:
        return row.beyond_rival

    return (
        f"Of the {kind} worlds {OWN} is better than the reference, the whole interval above zero, in "
        f"{count(1, reference)}, and worse, the whole interval below, in {count(-1, reference)}; better than the best "
        f"other policy in {count(1, rival)}, and worse in {count(-1, rival)}."
    )


def decided(found: Estimate | None) -> int:
    """1 or -1 if the whole interval lies above or below zero, else 0."""
    if found is None or found.low is None or found.high is None:
        return 0
    return (found.low > 0) - (found.high < 0)


def section(world: Preset, plan: Plan, found: Table) -> Iterator[str]:
    """One world: at equal evaluations, then at equal hours and dollars."""
    reference = found.reference
    yield f"### {world.name}: {world.about}"
    yield (
        f"{plan.evaluations:,} evaluations and at most {plan.expansion_budget:,} attempts to write a child each, "
        f"{plan.workers} workers. The first agent solves {plus_minus(found.seed_skill)} %."
    )
    yield markdown(
        (
            "policy", "seeds", "true skill, %", "regret", f"evaluations to {reference}'s level", "hours",
            f"beyond {reference}", "beyond the best other",
        ),
        [
            (
                row.policy,
                f"{row.runs:,}",
                plus_minus(row.skill),
                plus_minus(row.regret),
                NOTHING if row.policy == reference else between(row.to_level),
                plus_minus(row.hours, 1),
                signed(row.difference),
                signed(row.beyond_rival) + (f" ({row.rival})" if row.rival else ""),
            )
            for row in found.rows
        ],
    )  # fmt: skip
    yield f"With no more hours, or dollars, than {reference} took in the same world:"
    yield markdown(
        (
            "policy", "true skill, %, at its hours", "beyond it", "hours to its level",
            "true skill, %, at its dollars", "beyond it", "dollars to its level", "dollars",
        ),
        [
            (
                row.policy,
                plus_minus(row.at_hours.skill),
                signed(row.at_hours.difference),
                NOTHING if row.policy == reference else between(row.at_hours.to_level, 1),
                plus_minus(row.at_usd.skill),
                signed(row.at_usd.difference),
                NOTHING if row.policy == reference else between(row.at_usd.to_level),
                plus_minus(row.usd, 1),
            )
            for row in found.rows
        ],
    )  # fmt: skip


NOTHING = "–"


def plus_minus(found: Estimate, unit: float = 100) -> str:
    """A mean with half the width of its interval, in per cent unless another unit is named."""
    half = "" if found.high is None else f" ± {unit * (found.high - found.mean):.1f}"
    return f"{unit * found.mean:.1f}{half}"


def signed(found: Estimate | None) -> str:
    """A difference in points with its interval; bold if that excludes zero."""
    if found is None:
        return NOTHING
    middle = f"{100 * found.mean:+.1f}"
    if found.low is None or found.high is None:
        return middle
    text = f"{middle} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    return f"**{text}**" if decided(found) else text


def between(found: Estimate | None, digits: int = 0) -> str:
    """What it took, with both ends of its interval."""
    if found is None:
        return "never"
    middle = f"{found.mean:,.{digits}f}"
    if found.low is None:
        return middle
    high = "never" if found.high is None else f"{found.high:,.{digits}f}"
    return f"{middle} ({found.low:,.{digits}f} to {high})"


def share(found: Estimate | None, of: int) -> str:
    """What it took as a share of what the reference had."""
    if found is None:
        return "never"
    scaled = [None if each is None else 100 * each / of for each in (found.mean, found.low, found.high)]
    assert scaled[0] is not None
    return f"{between(Estimate(scaled[0], scaled[1], scaled[2]))} %"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first are set to the right."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    try:
        main()
    except SettingsError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped; run again to go on")
