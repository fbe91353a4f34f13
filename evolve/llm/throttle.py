"""How many moves the models of a run can serve at once, over all its services; what the loop and a person ask."""

from __future__ import annotations

from collections.abc import Mapping

from evolve.llm.base import Model, Role
from evolve.llm.replicas import Replicas, Standing


class Throttle:
    """How many moves the models can serve at once, where their services tell enough of themselves."""

    def __init__(self, models: Mapping[Role, Model], most: int) -> None:
        """`most` is the number of workers."""
        self._most = most
        services = {id(model.provider): model.provider for model in models.values()}
        self._services = [each for each in services.values() if isinstance(each, Replicas)]
        for each in self._services:
            each.pace(most)

    def moves(self) -> int | None:
        """By the service that can serve least; None: no service tells enough. From any thread."""
        tightest = self._tightest()
        return None if tightest is None else tightest[0]

    def line(self) -> str | None:
        """How many workers may work and why, for a person; None: as many as there are. From any thread."""
        tightest = self._tightest()
        if tightest is None or tightest[0] >= self._most:
            return None
        moves, service = tightest
        return f"{moves} of {self._most} workers ({service.name}: {service.reason() or 'not asked yet'})"

    def standings(self) -> dict[str, tuple[Standing, ...]]:
        """The replicas by service. From any thread."""
        return {each.name: each.standings() for each in self._services}

    def _tightest(self) -> tuple[int, Replicas] | None:
        told = [(moves, each) for each in self._services if (moves := each.moves()) is not None]
        return min(told, key=lambda pair: pair[0], default=None)
