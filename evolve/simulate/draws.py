"""Random numbers by name: each part of a world has a key of its own, and a generator made from it at little cost."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt


def key_of(above: bytes, part: str, number: int) -> bytes:
    """256 bits for one part of what lies under `above`."""
    return hashlib.blake2b(b"%b:%b:%d" % (above, part.encode(), number), digest_size=32).digest()


class _Words(np.random.bit_generator.ISeedSequence):
    """Hands a generator its key as it is. numpy's own way of seeding costs more than all that is then drawn."""

    def __init__(self, key: bytes) -> None:
        self._words = np.frombuffer(key, dtype="<u8").astype(np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> npt.NDArray[np.uint64]:
        assert n_words == len(self._words) and dtype is np.uint64, "PCG64 asks for four words of 64 bits"
        return self._words


def generator_of(key: bytes) -> np.random.Generator:
    words: Any = _Words(key)  # bit generators take any ISeedSequence, which numpy's stubs do not say
    return np.random.Generator(np.random.PCG64(words))
