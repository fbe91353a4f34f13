"""How an agent is named on the command line: by its id, or by the beginning of its commit's hash."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from archive import Agent

SHORTEST = 4
"""Digits of a hash at least, as in git."""


def agent_called(name: str, agents: Sequence[Agent]) -> Agent:
    """The agent of that id or commit prefix; digits that are an id mean the id.

    Raises: `click.BadParameter` if there is none, or more than one.
    """
    if re.fullmatch(r"0|[1-9][0-9]{0,17}", name) and int(name) < len(agents):
        return agents[int(name)]
    if len(name) >= SHORTEST and re.fullmatch(r"[0-9a-fA-F]+", name):
        found = [agent for agent in agents if agent.commit.startswith(name.lower())]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(agent.id) for agent in found)
            raise click.BadParameter(f"{name} begins the commits of agents {ids}; give more digits or the id")
    if not agents:
        raise click.BadParameter("the archive has no agents yet")
    raise click.BadParameter(
        f"there is no agent {name!r}; name one by its id, 0 to {len(agents) - 1}, "
        f"or by at least {SHORTEST} digits of its commit"
    )
