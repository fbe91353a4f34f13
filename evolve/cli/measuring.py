"""`clade evaluate`: measure one agent on a split of a benchmark, outside the search, and set it beside the seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import click

from archive import Agent, Archive, Evaluation
from benchmarks import SPLITS, Benchmark, Split
from evolve.cli.cassettes import Tape, cassette_options, opened
from evolve.cli.naming import agent_called
from evolve.cli.render import echo_json, paired_lines, percent
from evolve.jobs import EvaluationJob
from evolve.landings import departure, landing_of
from evolve.llm import ModelError
from evolve.loop import keep, record_of
from evolve.packed import packed
from evolve.remembered import Memory, done_already, open_memory
from evolve.rows import key_of, what_of
from evolve.seeds import derive
from evolve.settings import Settings, load
from evolve.state import next_attempt
from evolve.statistics.paired import compare, successes
from evolve.statistics.pairedbayes import rate_of
from evolve.statistics.sealed import SPLIT as SEALED
from evolve.statistics.sealed import TOUCHED
from evolve.workshop import Workshop, cache_folder


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("agent")
@click.option("--split", type=click.Choice(SPLITS), default="validation", show_default=True, help="Which tasks.")
@click.option("--benchmark", help="Another benchmark than the run's own, with its default options.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many tasks.")
@click.option("--again", is_flag=True, help="Measure also where there is a result; attempts add up.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@cassette_options
def evaluate(
    folder: Path,
    agent: str,
    split: Split,
    benchmark: str | None,
    limit: int | None,
    again: bool,
    as_json: bool,
    tape: Tape | None,
) -> None:
    """Measure AGENT of RUN on a split of a benchmark.

    The results are kept in the archive, but never guide the search. Measure agent 0 on the same split too, and the two
    are compared pairwise on the same tasks. The sealed split is for the last word, which `clade final` says; a look at
    it from here is written down too.
    """
    settings = load(folder)
    if benchmark is not None and benchmark != settings.benchmark_name:
        settings = settings.model_copy(update={"benchmark": {"name": benchmark}})
    with at_work(folder, settings, tape) as (archive, workshop):
        chosen = agent_called(agent, archive.history().agents)
        tasks = prepared(workshop).tasks(split)[:limit]
        if split == SEALED:
            archive.event(TOUCHED, {"benchmark": settings.benchmark_name, "agent": chosen.id, "tasks": len(tasks)})
        memory = None if again else memory_of(settings, workshop)
        measure(archive, settings, workshop, chosen, split, tasks, again=again, memory=memory)
        rows = [row for row in archive.history().evaluations if row.benchmark == settings.benchmark_name]
    show(chosen, split, rows, as_json)


@contextmanager
def at_work(folder: Path, settings: Settings, tape: Tape | None = None) -> Iterator[tuple[Archive, Workshop]]:
    """The run's archive to write into, with what a dead process left open voided, and its workshop."""
    with (
        Archive.open(folder, write=True, url=settings.database) as archive,
        opened(tape) as cassette,
        Workshop(settings, folder, cassette) as workshop,
    ):
        archive.void_open()
        yield archive, workshop


def prepared(workshop: Workshop) -> Benchmark:
    """The workshop's benchmark with its tasks proven; what there is to say of them is said."""
    quarantined = workshop.prepare()
    for note in workshop.benchmark.notes:
        click.echo(note, err=True)
    for left_out in quarantined:
        click.echo(f"task {left_out.task} is left out: {left_out.reason}", err=True)
    return workshop.benchmark


def memory_of(settings: Settings, workshop: Workshop) -> Memory | None:
    """The evaluation cache, if it is on; a measurement taken over from another run would be on no cassette."""
    if workshop.cassette is not None:
        return None
    return open_memory(settings, workshop.benchmark, workshop.sandbox.isolation, workshop.folder, cache_folder())


def measure(
    archive: Archive,
    settings: Settings,
    workshop: Workshop,
    agent: Agent,
    split: Split,
    tasks: Sequence[str],
    *,
    again: bool,
    memory: Memory | None,
) -> None:
    """Perform and record the evaluations, several at once; tasks with a result are left alone unless `again`."""
    history = archive.history()
    earlier = [row for row in history.evaluations if row.benchmark == settings.benchmark_name]
    measured = successes(earlier, agent.id, split)
    wanted = [task for task in tasks if again or task not in measured]
    files = archive.files(agent.id)
    cassette = workshop.cassette
    with ThreadPoolExecutor(settings.workers) as executor:
        flying = {}
        for task in wanted:
            attempt = next_attempt(earlier, agent.id, task)
            seed = derive(settings.seed, "evaluate", agent.tree, task, attempt)
            row = archive.open_evaluation(
                None,
                agent=agent.id,
                benchmark=settings.benchmark_name,
                split=split,
                task=task,
                attempt=attempt,
                seed=seed,
            )
            known = None if memory is None else memory.find(agent, row)
            job = EvaluationJob(key_of(row), files, task, seed, split)
            if cassette is not None:
                cassette.launched(job.key, f"{what_of(row)} ({split}), attempt {attempt}")
            flying[executor.submit(workshop.perform, job) if known is None else done_already(known)] = row
        for done, future in enumerate(as_completed(flying), 1):
            row, record = flying[future], record_of(future)
            told = None if cassette is None else departure(cassette, key_of(row), record)
            if cassette is not None and cassette.missed is not None:
                break  # nothing that was under way then counts
            if told is not None:
                click.echo(told, err=True)
            keep(archive, row, record.files)
            if cassette is not None and not record.repeatable:
                cassette.keep_record(key_of(row), packed(record))
            if memory is not None:
                memory.keep(agent, row, record)
            archive.close_evaluation(
                row.id,
                record.outcome,
                reason=record.reason,
                seconds=record.seconds,
                steps=record.steps,
                calls=record.calls,
                source=record.source,
            )
            if cassette is not None:
                cassette.landed(key_of(row), landing_of(record))
            cached = f" from the cache ({record.source})" if record.source else ""
            click.echo(f"{done} of {len(flying)}: {row.task}: {record.outcome}{cached}", err=True)
    if cassette is not None and cassette.missed is not None:
        archive.void_open()
        raise ModelError(cassette.missed, kind="refused")


def show(agent: Agent, split: str, rows: Sequence[Evaluation], as_json: bool) -> None:
    """The agent's result and, where there is one, the paired comparison with the seed."""
    own = successes(rows, agent.id, split)
    void = sum(row.agent == agent.id and row.split == split and not row.passed and not row.failed for row in rows)
    paired = compare(own, successes(rows, 0, split)) if agent.id != 0 else None
    passed = sum(share >= 0.5 for share in own.values())
    mean, low, high = rate_of(list(own.values()))
    if as_json:
        facts = {"agent": agent.id, "split": split, "tasks": len(own), "resolved": passed, "void": void}
        comparison = None if paired is None else dataclasses.asdict(paired)
        echo_json({**facts, "mean": mean, "low": low, "high": high, "against_seed": comparison})
        return
    span = f", {percent(mean)} (95 % interval {percent(low)} to {percent(high)})" if own else ""
    voids = f", {void} void" if void else ""
    click.echo(f"agent {agent.id} on {split}: {passed} of {len(own)} resolved{span}{voids}")
    if paired is not None:
        click.echo("\n".join(paired_lines(paired, f"agent {agent.id}", "the seed")))
    elif agent.id != 0:
        click.echo("measure agent 0 on the same split for a paired comparison")
