"""The model's dice: a pure function of a seed and of what is diced for."""

from __future__ import annotations

import math
from hashlib import blake2b


def uniform(*what: object) -> float:
    """A number strictly between 0 and 1."""
    digest = blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) + 0.5) / 2**64


def gumbel(*what: object) -> float:
    """A standard Gumbel variate.

    Sorting by log-weight + temperature * gumbel draws without replacement with probabilities softmax(log-weight /
    temperature): the Gumbel top-k trick (Vieira 2014; Kool et al., ICML 2019).
    """
    return -math.log(-math.log(uniform(*what)))
