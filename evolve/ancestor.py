"""The first ancestor: the seed agent that comes with Clade, or a folder of the user's own."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from evolve.settings import SettingsError

SKIPPED = {"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache"}
MAX_BYTES = 2_000_000


def ancestor(folder: str | None) -> dict[str, bytes]:
    """An agent's files by their path. The seed agent is found as files, never imported.

    Raises: `SettingsError` if the folder is not an agent.
    """
    root = Path(folder) if folder is not None else seed_folder()
    if not (root / "__main__.py").is_file():
        raise SettingsError(
            f"agent = {str(root)!r} is not an agent: it has no __main__.py (see CONTRACT.md of the seed agent)"
        )
    paths = [
        path for path in sorted(root.rglob("*")) if path.is_file() and not SKIPPED & set(path.relative_to(root).parts)
    ]
    agent = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    size = sum(map(len, agent.values()))
    if size > MAX_BYTES:
        raise SettingsError(f"agent = {str(root)!r} is too large for an agent: {size} bytes, at most {MAX_BYTES}")
    return agent


def seed_folder() -> Path:
    found = importlib.util.find_spec("agent_seed")
    if found is None or not found.submodule_search_locations:
        raise SettingsError("the seed agent is missing from this installation; install clade-evolve again")
    return Path(found.submodule_search_locations[0])
