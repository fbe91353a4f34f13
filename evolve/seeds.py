"""Seeds of a run's parts, derived from its seed by name: no part depends on how many others ran before it."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: object) -> int:
    """A 63-bit seed for the part called `names`."""
    text = "\0".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "big") >> 1


def generator(seed: int, *names: object) -> np.random.Generator:
    return np.random.default_rng(derive(seed, *names))
