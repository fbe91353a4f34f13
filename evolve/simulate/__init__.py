"""A simulator of evolution: the loop's own board and policies in worlds whose hidden skills are known."""

from evolve.simulate.many import Chunk, Study, chunks, perform, processors
from evolve.simulate.outcome import Estimate, Row, Table, table
from evolve.simulate.parameters import WorldSettings
from evolve.simulate.presets import PRESETS, Preset, preset
from evolve.simulate.results import Results, collect
from evolve.simulate.run import Plan, Simulation, simulate
from evolve.simulate.trace import Checkpoint, Trace
from evolve.simulate.world import Attempt, Hidden, Trial, World

__all__ = [
    "PRESETS",
    "Attempt",
    "Checkpoint",
    "Chunk",
    "Estimate",
    "Hidden",
    "Plan",
    "Preset",
    "Results",
    "Row",
    "Simulation",
    "Study",
    "Table",
    "Trace",
    "Trial",
    "World",
    "WorldSettings",
    "chunks",
    "collect",
    "perform",
    "preset",
    "processors",
    "simulate",
    "table",
]
