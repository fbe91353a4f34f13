"""`clade vllm`: fleets of vLLM servers on this machine, started, watched and stopped."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.live import Live

from evolve.cli.fleet_table import as_json, fleet_report
from evolve.cli.render import console, count, echo_json, plain, print_table, visible
from evolve.vllm import (
    IMAGE,
    Family,
    Fleet,
    FleetError,
    Pace,
    Plan,
    Replica,
    checked,
    family_of,
    fleets,
    gpu_groups,
    name_of,
    own_arguments,
    parsers,
    read_fleet,
    replica_count,
    start,
    stop,
    supervised,
    tail_of,
)

QUIET = 15.0
"""Seconds between two lines about a replica that goes on loading."""
REFRESH = 2.0
"""Seconds between two looks of `--watch`."""


@click.group()
def vllm() -> None:
    """Serve open models on this machine's GPUs: start, watch and stop fleets of vLLM servers.

    \b
    clade vllm up Qwen/Qwen3-Coder-30B-A3B-Instruct --gpus 0,1    a replica on each GPU
    clade vllm up zai-org/GLM-4.6 --gpus 0-3,4-7                  two replicas on four GPUs each
    clade vllm status --watch
    clade vllm down qwen3-coder-30b-a3b-instruct

    A fleet is then a model of the provider `vllm`: solve = "vllm:NAME" in run.toml.
    """


@vllm.command()
@click.argument("model")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED, metavar="[-- VLLM ARGUMENTS]")
@click.option("--replicas", type=click.IntRange(1, 64), help="How many servers; one for each group of --gpus.")
@click.option("--gpus", metavar="LIST", help="GPUs by number: 0,1 is one each, 0-1,2-3 is two each.")
@click.option("--name", help="Of the fleet; made from the model's if not given.")
@click.option(
    "--engine",
    type=click.Choice(["docker", "process"]),
    help="Containers, or `vllm serve` processes. Containers unless --executable is given.",
)
@click.option("--image", help=f"Image of the containers; {IMAGE} if not given.")
@click.option("--executable", help="Program of the processes; `vllm` on the PATH if not given.")
@click.option(
    "--max-model-len", type=click.IntRange(1), help="Tokens of a prompt and its answer; less needs less memory."
)
@click.option("--tool-parser", help="Parser of tool calls, by vLLM's name; `none` for none. The family's if not given.")
@click.option(
    "--reasoning-parser", help="Parser of thoughts, by vLLM's name; `none` for none. The family's if not given."
)
@click.option(
    "--wait", default=30.0, show_default=True, type=click.FloatRange(min=0.1), help="Minutes a start may take."
)
def up(model: str, extra: tuple[str, ...], wait: float, **options: Any) -> None:
    """Start a fleet that serves MODEL, and wait until each replica has answered.

    MODEL is a name on the Hugging Face hub or a folder. The parsers of tool calls and thoughts, and what else its
    family needs, are looked up by its name. What follows `--` is handed on to `vllm serve`.

    The servers are looked after in the background: restarted when they end, hang or answer 503, and given up after
    five failures within half an hour. Ctrl-C ends the waiting, not the fleet. The same command again takes over what
    a crashed supervisor has left running.
    """
    plan = plan_of(model, extra, wait, **options)
    say(f"asking {plan.program} what it knows")
    plan = checked(plan)
    start(plan)
    try:
        fleet = wait_for(plan)
    except KeyboardInterrupt:
        say(f"the fleet goes on starting; see `clade vllm status {plan.name}`, end it: `clade vllm down {plan.name}`")
        sys.exit(130)
    ready = sum(replica.state == "ready" for replica in fleet.replicas)
    dead = [replica for replica in fleet.replicas if replica.state == "dead"]
    if dead:
        raise FleetError(
            f"{ready} of {count(len(fleet.replicas), 'replica')} of the fleet {plan.name} are ready; replica "
            f"{dead[0].index}: {dead[0].why}; its log: `clade vllm logs {plan.name} {dead[0].index}`"
        )
    length = "" if fleet.context_length is None else f", {count(fleet.context_length, 'token')} of context"
    tools = f"tool calls by {fleet.tool_parser}" if fleet.tool_parser else "no tool calls"
    click.echo(f"{fleet.name} is ready: {count(ready, 'replica')}{length}, {tools}")
    click.echo(f'in run.toml: solve = "vllm:{fleet.name}"')
    if fleet.protocol == "fenced":
        click.echo(f'and: [providers.vllm.models."{fleet.name}"] protocol = "fenced"')


@vllm.command()
@click.argument("name", required=False)
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
@click.option("--watch", is_flag=True, help="Show it anew every two seconds until Ctrl-C.")
def status(name: str | None, json_: bool, watch: bool) -> None:
    """Show the fleets, or the fleet NAME: replicas, throughput, queues, use of the cache, restarts.

    Throughput counts generated tokens over the last half minute; the share of prompt tokens found in the prefix cache
    is since each replica's start.
    """
    if json_ and watch:
        raise click.UsageError("--json and --watch exclude one another")
    found = fleets_of(name)
    if json_:
        echo_json({"fleets": [as_json(fleet, supervised(fleet.name)) for fleet in found]})
    elif watch:
        screen = console()
        with Live(fleet_report(found, time.time()), console=screen, auto_refresh=False) as live:
            while True:
                time.sleep(REFRESH)
                live.update(fleet_report(fleets_of(name), time.time()), refresh=True)
    elif not found:
        click.echo("no fleet runs on this machine; start one: clade vllm up MODEL")
    else:
        print_table(console(), fleet_report(found, time.time()))
    for fleet in found:
        warn(fleet)


@vllm.command()
@click.argument("name")
def down(name: str) -> None:
    """End the fleet NAME: nothing more is sent to it, running requests get 30 s, then its servers are stopped.

    Only what `clade vllm up` has started is ended, also where its supervisor has crashed. Its logs are kept.
    """
    stop(name, say)
    click.echo(f"{name} has ended")


@vllm.command()
@click.argument("name")
@click.argument("replica", required=False, type=click.IntRange(0))
@click.option("-n", "--lines", default=100, show_default=True, type=click.IntRange(1), help="How many, from the end.")
def logs(name: str, replica: int | None, lines: int) -> None:
    """Show the end of a log of the fleet NAME: of REPLICA (a number), or of the supervisor if none is given.

    Each log is set aside as FILE.1 when it has grown to 16 MB.
    """
    for line in tail_of(name, replica, lines):
        click.echo(visible(line, keep="\t"))


def plan_of(
    model: str,
    extra: tuple[str, ...],
    wait: float,
    *,
    replicas: int | None,
    gpus: str | None,
    name: str | None,
    engine: str | None,
    image: str | None,
    executable: str | None,
    max_model_len: int | None,
    tool_parser: str | None,
    reasoning_parser: str | None,
) -> Plan:
    """The options as a plan, with a word on what was looked up. Raises: `FleetError`, `click.UsageError`."""
    if executable is not None and (engine == "docker" or image is not None):
        raise click.UsageError("--executable goes with --engine process, which has no --image")
    process = engine == "process" or executable is not None
    if process and image is not None:
        raise click.UsageError("--image goes with --engine docker")
    groups = gpu_groups(gpus) if gpus is not None else ()
    number = replica_count(replicas, groups)
    needs_gpus(number, bool(groups), process, image)
    family = family_of(model)
    tools, thoughts = parsers(model, family, tool_parser, reasoning_parser)
    say(described(model, family, tools, thoughts))
    return Plan(
        name=name or name_of(model),
        model=str(Path(model).resolve()) if Path(model).is_dir() else model,
        engine="process" if process else "docker",
        program=found(executable or "vllm") if process else image or IMAGE,
        replicas=number,
        gpus=groups,
        tool_parser=tools,
        reasoning_parser=thoughts,
        max_model_len=max_model_len,
        extra=(*(family.flags if family else ()), *own_arguments(extra)),
        pace=Pace(start=wait * 60),
    )


def needs_gpus(replicas: int, given: bool, process: bool, image: str | None) -> None:
    """Refuse what would fail minutes later, on the GPU that all replicas would take. Raises: `FleetError`."""
    if given:
        return
    if not process and image is None:
        raise FleetError(f"{IMAGE} needs GPUs: name them, such as --gpus 0 (or give an --image for CPUs)")
    if process and replicas > 1 and Path("/dev/nvidiactl").exists():
        raise FleetError(f"{replicas} replicas would all take the first GPU: give each its own, such as --gpus 0,1")


def found(executable: str) -> str:
    """The path of a program. Raises: `FleetError` if there is none."""
    path = shutil.which(executable)
    if path is None:
        raise FleetError(
            f"there is no program {executable}: install vllm where it is found, name it with --executable, or use "
            "--engine docker"
        )
    return str(Path(path).absolute())


def described(model: str, family: Family | None, tools: str | None, thoughts: str | None) -> str:
    """What was looked up about a model, and what of it was not taken."""
    by = f"{model} is of the family {family.name}" if family else f"the family of {model} is not known"
    text = f"{by}: tool calls by {tools or 'no parser'}, thoughts by {thoughts or 'no parser'}"
    if family and family.since:
        text += f" (known from vLLM {family.since} on)"
    return f"{text}. {family.note}" if family and family.note else text


def wait_for(plan: Plan) -> Fleet:
    """Tell how the replicas come up, until each is ready or has been given up. Raises: `FleetError`."""
    told: dict[int, tuple[str, str]] = {}
    when: dict[int, float] = {}
    while True:
        fleet = read_fleet(plan.name)
        for replica in fleet.replicas if fleet else ():
            now = (replica.state, replica.why)
            old = told.get(replica.index)
            quiet = time.monotonic() - when.get(replica.index, 0.0) < QUIET
            if now != old and not (quiet and old is not None and old[0] == replica.state == "starting"):
                told[replica.index], when[replica.index] = now, time.monotonic()
                say(f"replica {replica.index}: {replica.state}" + (f": {replica.why}" if replica.why else ""))
        lives = supervised(plan.name)
        if fleet and fleet.replicas and all(each.state == "ready" for each in fleet.replicas):
            return fleet
        if not lives:
            fleet = read_fleet(plan.name)  # its last words, which it may have written since
            if fleet and any(each.state == "dead" for each in fleet.replicas):
                return fleet
            raise FleetError(f"the supervisor of {plan.name} has ended; see `clade vllm logs {plan.name}`")
        if fleet and fleet.replicas and all(each.state == "ready" or given_up(each) for each in fleet.replicas):
            return fleet
        time.sleep(0.2)


def given_up(replica: Replica) -> bool:
    """Will it not be started again?"""
    return replica.state == "dead" and "gave up" in replica.why


def fleets_of(name: str | None) -> list[Fleet]:
    """One fleet, or all. Raises: `FleetError` if there is none of the name."""
    if name is None:
        return fleets()
    fleet = read_fleet(name)
    if fleet is None:
        raise FleetError(f"there is no fleet {name}; `clade vllm status` lists those that there are")
    return [fleet]


def warn(fleet: Fleet) -> None:
    """Tell of a fleet that has been given up, or that nobody looks after."""
    last = f"`clade vllm down {fleet.name}`"
    if all(given_up(replica) for replica in fleet.replicas):
        say(f"{fleet.name} has been given up: see `clade vllm logs {fleet.name} 0`; {last} forgets it")
    elif not supervised(fleet.name):
        say(f"nobody looks after {fleet.name} now: its `clade vllm up` again takes over what runs, {last} ends it")


def say(text: str) -> None:
    """A step of long work, on standard error."""
    click.echo(plain(text).plain, err=True)
    sys.stderr.flush()
