"""`clade cost`: what a run's models cost, by whom and for what, to the cent of its ledger."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click
from rich.table import Table

from archive import Bill, History, holder
from evolve.cli.reading import json_option, run_argument
from evolve.cli.render import bill_text, console, count, echo_json, percent, plain, print_table
from evolve.llm.spending import BYS, LEDGER, Book, By, Sum, grouped, read_book, teller, total
from evolve.past import rows_of

MOST_ROWS = 40
"""Lines of a table on a terminal or in a log; --csv and --json have all of them."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A run's costs. What a cassette answered is told apart: it was booked, not paid."""

    paid: Sum
    replayed: Sum
    under_way: Bill
    """Worst case of the calls that have not ended, if a process is at work on them."""
    by: Mapping[By, Mapping[str, Sum]]
    """Of what was paid."""
    events: Mapping[str, Mapping[str, int]]


@click.command()
@run_argument
@click.option("--by", "by", type=click.Choice(BYS), multiple=True, help="One table each; default: role and model.")
@click.option("--csv", "as_csv", is_flag=True, help="One CSV table on standard output; needs one --by.")
@json_option
def cost(folder: Path, by: tuple[str, ...], as_csv: bool, as_json: bool) -> None:
    """What the models cost in RUN: by role, model, move, agent, task or day (of UTC).

    Works on a run under way and on one that was killed, whose open calls count in full: the service may have charged
    them. Dollars add up to the ledger's.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json contradict each other")
    if as_csv and len(by) != 1:
        raise click.UsageError("--csv is one table: name one --by")
    chosen = cast("tuple[By, ...]", by or ("role", "model"))
    book = read_book(folder / LEDGER)
    found = costs(book, rows_of(folder)[0], chosen, alive=holder(folder) is not None)
    if as_json:
        echo_json(facts(found))
    elif as_csv:
        _csv(chosen[0], found)
    else:
        _print(found)


def costs(book: Book, history: History, by: Sequence[By], *, alive: bool) -> Cost:
    """From a ledger and its archive; if no process is `alive`, what is open in the ledger is lost."""
    if not alive:
        book = book.lost()
    paid = [entry for entry in book.entries if entry.paid]
    worst = [each.worst for each in book.open]
    under_way = Bill(
        len(worst),
        sum(each.input_tokens for each in worst),
        0,
        sum(each.output_tokens for each in worst),
        sum(each.usd for each in worst),
    )
    return Cost(
        total(paid),
        total(entry for entry in book.entries if not entry.paid),
        under_way,
        {each: grouped(paid, teller(each, history)) for each in by},
        book.events,
    )


def facts(cost: Cost) -> dict[str, Any]:
    """For --json."""
    whole = cost.paid.bill.usd
    return {
        "paid": _facts(cost.paid, whole),
        "replayed": _facts(cost.replayed, 0.0),
        "under_way": {"calls": cost.under_way.calls, "usd_at_most": cost.under_way.usd},
        "by": {
            by: [{by: name, **_facts(each, whole)} for name, each in groups.items()] for by, groups in cost.by.items()
        },
        "events": {model: dict(events) for model, events in cost.events.items()},
    }


def _facts(each: Sum, whole: float) -> dict[str, Any]:
    bill = each.bill
    return {
        "calls": bill.calls,
        "input_tokens": bill.input_tokens,
        "cached_tokens": bill.cached_tokens,
        "cache_write_tokens": each.cache_write_tokens,
        "output_tokens": bill.output_tokens,
        "reasoning_tokens": each.reasoning_tokens,
        "usd": bill.usd,
        "share": bill.usd / whole if whole else None,
        "unmeasured_calls": each.unmeasured,
        "lost_calls": each.lost,
    }


def _csv(by: By, cost: Cost) -> None:
    rows = [{by: name, **_facts(each, cost.paid.bill.usd)} for name, each in cost.by[by].items()]
    writer = csv.DictWriter(sys.stdout, [by, *_facts(Sum(), 0.0)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        # A spreadsheet takes a cell that begins so for a formula, and tasks' names are strangers' words.
        name = row[by]
        writer.writerow({**row, by: f"'{name}" if name.startswith(("=", "+", "-", "@")) else name})


def _print(cost: Cost) -> None:
    out = console()
    whole = cost.paid.bill.usd
    for by, groups in cost.by.items():
        if not groups:
            continue
        print_table(out, _table(by, groups, whole))
        if len(groups) > MOST_ROWS:
            out.print(plain(f"… and {count(len(groups) - MOST_ROWS, 'line')} more; --csv has all", "dim"))
        out.print()
    out.print(plain(f"paid      {bill_text(cost.paid.bill)}"))
    if cost.under_way.calls:
        out.print(plain(f"under way {count(cost.under_way.calls, 'call')}, at most ${cost.under_way.usd:.4f}"))
    if cost.replayed.bill.calls:
        out.print(plain(f"replayed  {bill_text(cost.replayed.bill)}: told by a cassette, not paid"))
    if cost.paid.unmeasured:
        why = f"{cost.paid.lost} of them lost with their process" if cost.paid.lost else "nobody told what they cost"
        out.print(plain(f"! {count(cost.paid.unmeasured, 'call')} charged at their worst case; {why}", "yellow"))
    for model, events in cost.events.items():
        said = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in sorted(events.items()))
        out.print(plain(f"{model}: {said}"))


def _table(by: By, groups: Mapping[str, Sum], whole: float) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(by, overflow="fold")
    thought = any(each.reasoning_tokens for each in groups.values())
    for name in ("calls", "input", "cached", "output", *(["thought"] if thought else []), "usd", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, each in list(groups.items())[:MOST_ROWS]:
        bill = each.bill
        table.add_row(
            plain(name),
            f"{bill.calls:,}",
            f"{bill.input_tokens:,}",
            percent(each.cached_share),
            f"{bill.output_tokens:,}",
            *([f"{each.reasoning_tokens:,}" if each.reasoning_tokens else "–"] if thought else []),
            f"{bill.usd:.4f}",
            percent(bill.usd / whole if whole else None),
        )
    return table
