"""Fleets of vLLM servers on this machine: started, watched, restarted and stopped, and where to reach them.

`read_fleet` and `fleets` tell what a fleet's supervisor last wrote: replicas with their addresses, states and load.
`checked` and `start` make a fleet of a `Plan`, `stop` ends it.
"""

from evolve.vllm.families import Family, families, family_of
from evolve.vllm.launch import checked, start, stop, supervised, tail_of
from evolve.vllm.metrics import Reading, read_metrics
from evolve.vllm.plan import IMAGE, Pace, Plan, gpu_groups, name_of, own_arguments, parsers, replica_count
from evolve.vllm.registry import Fleet, FleetError, Handle, Load, Replica, fleets, folder_of, names, read_fleet

__all__ = [
    "IMAGE",
    "Family",
    "Fleet",
    "FleetError",
    "Handle",
    "Load",
    "Pace",
    "Plan",
    "Reading",
    "Replica",
    "checked",
    "families",
    "family_of",
    "fleets",
    "folder_of",
    "gpu_groups",
    "name_of",
    "names",
    "own_arguments",
    "parsers",
    "read_fleet",
    "read_metrics",
    "replica_count",
    "start",
    "stop",
    "supervised",
    "tail_of",
]
