"""`clade models`: what is configured, what it costs, whether it works, and what had to be mended."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

import click
from rich.table import Table

from evolve.cli.exchange import Result, converse, worst_usd
from evolve.cli.inventory import (
    Facts,
    built_in_labels,
    labels_of,
    one_role,
    price_facts,
    priced_labels,
    role_facts,
    service_facts,
)
from evolve.cli.naming import model_called
from evolve.cli.render import console, count, echo_json, plain, print_table
from evolve.llm import Model, ModelError, Role, price_table, redact
from evolve.llm.dialect import EVENTS
from evolve.llm.ledgerfile import Noted, Reserved, Settled, parse
from evolve.llm.prices import OLD_DAYS
from evolve.settings import FILE, Settings, SettingsError, load

ASK_ABOVE = 0.05
"""US dollars that a test may cost at most without a question."""

RUN = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def models() -> None:
    """The models of a run: list, price and test them, and see how they behave.

    \b
    clade models list runs/first      services, keys, and what each role uses
    clade models price                built-in prices, with date and source
    clade models test runs/first      one tool call for each role: does it work, how fast, how dear
    clade models stats runs/first     calls and what had to be mended, by model
    """


@models.command("list")
@click.argument("folder", metavar="[RUN]", type=RUN, required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def list_(folder: Path | None, as_json: bool) -> None:
    """Name the services, whether their keys are set, and what the roles of RUN use. Asks nobody."""
    settings = settings_of(folder)
    try:
        services, roles = service_facts(settings), role_facts(settings) if folder is not None else []
    except ModelError as error:
        raise SettingsError(str(error)) from None
    if as_json:
        echo_json({"services": services, "roles": roles})
        return
    about = _table("service", "kind", "key", "set")
    # Apart from the rest, for beside it there is no room for an address on a terminal of 80 columns.
    addresses = _table("service", "address")
    for each in services:
        about.add_row(*map(plain, (each["service"], each["kind"], each["key_env"] or "–", set_text(each))))
        for number, url in enumerate(each["urls"]):
            addresses.add_row(*map(plain, (each["service"] if number == 0 else "", url)))
    print_table(console(), about)
    click.echo()
    print_table(console(), addresses)
    for each in services:
        if each["limits"]:
            limits = ", ".join(f"{limit} = {value:g}" for limit, value in each["limits"].items())
            click.echo(f"{plain(each['service'])}: {limits}")
    if folder is None:
        click.echo("\nName a RUN to see what its roles use; `clade models test RUN` tries them.")
        return
    show_roles(roles)


@models.command()
@click.argument("names", metavar="[RUN] [MODEL]…", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def price(names: Sequence[str], as_json: bool) -> None:
    """Say what models cost, in US dollars per million tokens, and how that is known.

    With RUN: the models of its roles, by its own prices where it sets some. With MODEL: that one, as SERVICE:MODEL or
    by its bare name where only one service has a price for it. With neither: the built-in table. Prices of a run's own
    go into its run.toml, as [providers.SERVICE.prices.MODEL].
    """
    folders = [Path(name) for name in names if (Path(name) / FILE).exists()]
    if len(folders) > 1:
        raise click.UsageError("name one RUN at most")
    settings = settings_of(folders[0] if folders else None)
    priced = dict.fromkeys([*priced_labels(settings), *built_in_labels()])
    wanted = [model_called(name, list(priced)) for name in names if not (Path(name) / FILE).exists()]
    labels = ([*labels_of(settings)] if folders else []) + wanted or built_in_labels()
    try:
        rows = price_facts(labels, settings.providers, today())
    except ModelError as error:
        raise SettingsError(str(error)) from None
    if as_json:
        echo_json({"version": price_table().version, "unit": "US dollars per million tokens", "models": rows})
        return
    table = _table("model", "input", "cached", "cache\nwrite", "output", "known from")
    for row in rows:
        table.add_row(plain(row["model"]), *map(plain, rates_text(row)), plain(origin_text(row)))
        if row["above"] is not None:
            long = f"  above {row['above']['tokens']:,} tokens"
            table.add_row(plain(long), *map(plain, rates_text(row["above"])), "")
        if row["usd_per_hour"] is not None:
            table.add_row(plain(f"  and ${row['usd_per_hour']:g} an hour, shared by calls"), *[""] * 5)
    print_table(console(), table)
    for source in dict.fromkeys(row["source"] for row in rows if row["source"]):
        click.echo(f"built-in prices, table of {price_table().version}: {source}")
    if old := [row for row in rows if row["old"]]:
        click.echo(
            f"clade: {count(len(old), 'price')} older than {OLD_DAYS} days: compare with the source, and set what "
            "differs in run.toml",
            err=True,
        )


@models.command()
@click.argument("folder", metavar="[RUN]", type=RUN, required=False)
@click.option("--role", "only", type=click.Choice(["solve", "improve", "diagnose"]), help="Only this role.")
@click.option("--yes", is_flag=True, help="Do not ask before spending.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def test(folder: Path | None, only: Role | None, yes: bool, as_json: bool) -> None:
    """Have one short tool-calling exchange with the model of each role of RUN, through the real gateway.

    Shows whether calls and results of tools are understood, latency, tokens and cost. The cost is not booked on the
    run. Exit status 1 if a role's model does not work, with one sentence on what to do.
    """
    settings = settings_of(folder)
    roles: list[Role] = [only] if only else list(settings.models.roles)
    opened: dict[Role, Model] = {}
    results: list[Result] = []
    for role in roles:
        try:
            opened[role] = one_role(settings, role)
        except ModelError as error:
            results.append(Result(role, settings.models.roles[role], "", redact(str(error))))
    worst = sum(map(worst_usd, opened.values()))
    if worst > ASK_ABOVE and not yes:
        click.confirm(f"This may cost up to ${worst:.2f}; go on?", abort=True, err=True)
    with tempfile.TemporaryDirectory() as name:
        for role, model in opened.items():
            click.echo(f"{role}: asking {model.label} …", err=True)
            results.append(converse(role, model, Path(name)))
    results.sort(key=lambda result: roles.index(result.role))  # type: ignore[arg-type]
    show(results, as_json)
    if any(result.problem for result in results):
        sys.exit(1)


@models.command()
@click.argument("folder", metavar="RUN", type=RUN)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def stats(folder: Path, as_json: bool) -> None:
    """Count, by model, how calls of RUN ended and what had to be mended in requests and answers. Reads the ledger."""
    facts = stats_facts(folder / "ledger.jsonl")
    if as_json:
        echo_json({"models": facts})
        return
    if not facts:
        click.echo("no model has been asked yet")
    for label, each in facts.items():
        ended = ", ".join(f"{number:,} {status}" for status, number in each["calls"].items()) or "none ended"
        click.echo(f"{plain(label)}: {ended}")
        table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
        for event, number in each["events"].items():
            table.add_row(f"{number:,}", plain(event), plain(EVENTS.get(event, "")))
        if each["events"]:
            print_table(console(), table)


def stats_facts(ledger: Path) -> dict[str, Facts]:
    """By model, the ways in which calls ended and the events of the dialect, the most frequent first.

    Raises: `ModelError` if the file is not a ledger.
    """
    content = ledger.read_bytes() if ledger.exists() else b""
    facts: dict[str, Facts] = {}
    labels: dict[int, str] = {}
    for line in parse(content[: content.rfind(b"\n") + 1], ledger):
        if isinstance(line, Reserved):
            labels[line.id] = line.model
            facts.setdefault(line.model, {"calls": {}, "events": {}})
        elif isinstance(line, Settled) and line.id in labels:
            calls = facts[labels.pop(line.id)]["calls"]
            calls[line.status] = calls.get(line.status, 0) + 1
        elif isinstance(line, Noted):
            events = facts.setdefault(line.model, {"calls": {}, "events": {}})["events"]
            for event, number in line.events.items():
                events[event] = events.get(event, 0) + number
    for each in facts.values():
        for name, counts in each.items():
            each[name] = dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
    return facts


def show_roles(roles: Sequence[Facts]) -> None:
    """Print what each role uses, what its settings add to a request, and what they take out of an agent's."""
    about = _table("role", "model", "protocol", "output at most")
    added = _table("role", "parameters")
    taken = _table("role", "left out of what agents ask for, as the model refuses it")
    for each in roles:
        about.add_row(*map(plain, (each["role"], each["model"], each["protocol"], f"{each['max_output_tokens']:,}")))
        if each["parameters"]:
            parameters = " ".join(f"{name}={value}" for name, value in each["parameters"].items())
            added.add_row(plain(each["role"]), plain(parameters))
        if each["left_out"]:
            taken.add_row(plain(each["role"]), plain(" ".join(each["left_out"])))
    for table in (about, added, taken):
        if table.rows:
            click.echo()
            print_table(console(), table)


def settings_of(folder: Path | None) -> Settings:
    """The run's settings, or the defaults. Raises: `SettingsError`."""
    return Settings() if folder is None else load(folder)


def today() -> date:
    return datetime.now(UTC).date()


def show(results: Sequence[Result], as_json: bool) -> None:
    """Print how the exchanges went."""
    if as_json:
        echo_json({"roles": [{**asdict(result), "ok": not result.problem} for result in results]})
        return
    for each in results:
        if each.problem:
            click.echo(f"clade: {plain(each.role)}: {plain(each.model)}: {plain(each.problem)}", err=True)
        else:
            click.echo(f"{each.role}: {plain(each.model)} works: {figures(each)}")


def figures(result: Result) -> str:
    """What an exchange took, in one line."""
    latency = " + ".join(f"{seconds:.2f}" for seconds in result.seconds)
    cached = f" ({result.cached_tokens:,} cached)" if result.cached_tokens else ""
    thought = f" ({result.reasoning_tokens:,} thought)" if result.reasoning_tokens else ""
    mended = "; mended: " + ", ".join(f"{event} {n}" for event, n in result.events.items()) if result.events else ""
    return (
        f"protocol {result.protocol}, {latency} s, {result.input_tokens:,} tokens in{cached}, "
        f"{result.output_tokens:,} out{thought}, ${result.usd:.4f}{mended}"
    )


def set_text(service: Facts) -> str:
    if service["key_env"] is None:
        return ""
    return "yes" if service["key_set"] else "NO" if service["used"] else "no"


def rates_text(row: Facts) -> tuple[str, str, str, str]:
    """The four rates of a price, as they apply."""
    of_input = row["input"]
    cached = of_input if row["cached"] is None else row["cached"]
    written = of_input if row["cache_write"] is None else row["cache_write"]
    return f"{of_input:g}", f"{cached:g}", f"{written:g}", f"{row['output']:g}"


def origin_text(row: Facts) -> str:
    if row["origin"] == "free":
        return "own machine: free"
    if row["origin"] == "run.toml":
        return FILE
    return f"{row['checked']}" + (" (old)" if row["old"] else "")


def _table(*columns: str) -> Table:
    """With the first column whole, for it is what people copy."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    return table
