"""Parsing Python in `evolve`: behind the lock that the benchmarks' parsing holds too.

The offline model takes it from here and not from `benchmarks`, of which it must import nothing.
"""

from benchmarks import literal, parse

__all__ = ["literal", "parse"]
