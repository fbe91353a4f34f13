"""What things are called on the command line: an agent by its id or commit, a model with or without its service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

import click

from archive import Agent
from evolve.cli.inventory import full
from evolve.llm.prices import DATED
from evolve.settings import FILE

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


def model_called(name: str, priced: Sequence[str]) -> str:
    """The `service:model` of that name: `name` itself, or the one of `priced` whose model is called so.

    A bare name may be that of a dated snapshot. Raises: `click.BadParameter` if there is none, or more than one.
    """
    label = full(name)
    if label in priced:
        return label
    for bare in (name, DATED.sub("", name)):
        found = [each.partition(":")[0] for each in priced if each.partition(":")[2] == bare]
        if len(found) > 1:
            labels = ", ".join(f"{service}:{name}" for service in found)
            raise click.BadParameter(f"{name} is a model of several services: name one of {labels}")
        if found:
            return f"{found[0]}:{name}"
    if ":" in label and not label.endswith(":"):
        return label
    models = {each.partition(":")[2]: each for each in priced}
    close = [models[model] for model in get_close_matches(name, models, n=2)]
    hint = f"; did you mean {' or '.join(close)}?" if close else "; name it as SERVICE:MODEL"
    raise click.BadParameter(f"{name!r} is no run's folder (with a {FILE}) and no model with a known price{hint}")
