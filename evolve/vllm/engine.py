"""What a replica can run as: a process, or a container. One face for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from evolve.vllm.plan import Plan
from evolve.vllm.registry import Handle


@dataclass(frozen=True, slots=True)
class Started:
    """A replica that has just been started, and where it will answer."""

    handle: Handle
    url: str
    socket: str | None = None


class Engine(Protocol):
    """Starts and ends the replicas of one fleet. Its calls may block for seconds; each raises `FleetError`."""

    def check(self) -> str:
        """What `vllm serve --help=all` prints; empty if it prints nothing of use. Fetches an image that is missing."""
        ...

    def start(self, index: int, key: str) -> Started: ...

    def ended(self, handle: Handle) -> str | None:
        """How it ended, such as `exited with 1`; None while it runs."""
        ...

    def terminate(self, handle: Handle) -> None:
        """Ask it to end."""
        ...

    def kill(self, handle: Handle) -> None:
        """End it with everything that it started, and leave nothing of it behind but its log."""
        ...

    def tail(self, index: int, handle: Handle | None, lines: int) -> list[str]:
        """The last lines of its log, those of runs before the last restart included."""
        ...

    def strays(self) -> list[Handle]:
        """What runs of this fleet, registered or not."""
        ...

    def close(self) -> None: ...


def engine_of(plan: Plan) -> Engine:
    """The engine that a plan names. Raises: `FleetError` if it cannot be reached."""
    if plan.engine == "process":
        from evolve.vllm.process import Processes

        return Processes(plan)
    from evolve.vllm.container import Containers  # the engine's SDK takes a third of a second to import

    return Containers(plan)
