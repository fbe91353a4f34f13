"""What the house lends to every move: the settings, a sandbox, the gateway, and a scratch folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evolve.llm import Caps, Gateway, Tripwire
from evolve.settings import Settings
from sandbox import Limits, Sandbox


@dataclass(frozen=True, slots=True)
class House:
    """Shared by all moves of a process."""

    settings: Settings
    sandbox: Sandbox
    gateway: Gateway
    scratch: Path
    """For what is mounted into boxes; passable for their users."""
    tripwire: Tripwire = field(default_factory=Tripwire)
    """Looks for keys in what comes out of boxes."""

    @property
    def caps(self) -> Caps:
        """Of one rollout."""
        rollout = self.settings.rollout
        return Caps(usd=rollout.usd, tokens=rollout.tokens, calls=rollout.calls)

    @property
    def limits(self) -> Limits:
        """Of one box."""
        box = self.settings.sandbox
        return Limits(memory_mb=box.memory_mb, processes=box.processes, disk_mb=box.disk_mb)

    @property
    def image(self) -> str | None:
        return self.settings.sandbox.image
