"""Fleets as `clade vllm status` shows them: a line for each replica, their sum, and the same as JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from evolve.cli.render import percent, plain
from evolve.vllm import Fleet, Load, Replica

STALE = 60.0
"""Seconds after which a load is no longer shown as the present one."""
STYLES = {"starting": "yellow", "ready": "green", "draining": "yellow", "dead": "red"}
HEAD = ("", "state", "tokens/s", "running", "waiting", "KV", "hits", "restarts", "since")


def fleet_report(fleets: Sequence[Fleet], now: float) -> Group:
    """Each fleet: its name and model, a table of its replicas, and why some are not ready.

    `now` is in seconds since the epoch.
    """
    parts: list[RenderableType] = []
    for fleet in fleets:
        parts += [plain(f"{fleet.name}  {fleet.model}", "bold"), _table(fleet, now)]
        parts += [plain(f"  {each.index}: {each.why}") for each in fleet.replicas if each.why]
    return Group(*parts)


def _table(fleet: Fleet, now: float) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in HEAD:
        table.add_column(title, justify="left" if title in ("", "state") else "right", no_wrap=True)
    for replica in fleet.replicas:
        state = plain(replica.state, STYLES[replica.state])
        numbers = _numbers(current(replica, now))
        table.add_row(f"  {replica.index}", state, *numbers, str(replica.restarts), _ago(replica.since, now))
    ready = sum(replica.state == "ready" for replica in fleet.replicas)
    restarts = sum(replica.restarts for replica in fleet.replicas)
    state = plain(f"{ready} of {len(fleet.replicas)}")
    table.add_row("sum", state, *_numbers(total(fleet, now)), str(restarts), _ago(fleet.started, now))
    return table


def as_json(fleet: Fleet, supervised: bool) -> dict[str, Any]:
    """A fleet without its key."""
    document = asdict(fleet)
    del document["key"]
    now = time.time()
    summed = total(fleet, now)
    return {
        **document,
        "protocol": fleet.protocol,
        "supervised": supervised,
        "uptime_seconds": round(now - fleet.started),
        "total": None if summed is None else asdict(summed),
    }


def current(replica: Replica, now: float) -> Load | None:
    """Its load, unless that is long ago."""
    return replica.load if replica.load is not None and now - replica.load.at <= STALE else None


def total(fleet: Fleet, now: float) -> Load | None:
    """The sum of what the replicas do, and the mean of their shares; None if none of them tells."""
    loads = [load for replica in fleet.replicas if (load := current(replica, now)) is not None]
    if not loads:
        return None
    return Load(
        running=sum(load.running for load in loads),
        waiting=sum(load.waiting for load in loads),
        kv_use=_mean([load.kv_use for load in loads]),
        generated_per_second=sum(load.generated_per_second for load in loads),
        prefix_hit_rate=_mean([load.prefix_hit_rate for load in loads]),
        at=min(load.at for load in loads),
    )


def _mean(shares: Sequence[float | None]) -> float | None:
    told = [share for share in shares if share is not None]
    return sum(told) / len(told) if told else None


def _numbers(load: Load | None) -> tuple[str, str, str, str, str]:
    if load is None:
        return ("–",) * 5
    return (
        f"{load.generated_per_second:.1f}",
        str(load.running),
        str(load.waiting),
        percent(load.kv_use),
        percent(load.prefix_hit_rate),
    )


def _ago(since: float, now: float) -> str:
    return "–" if not since else str(timedelta(seconds=max(0, round(now - since))))
