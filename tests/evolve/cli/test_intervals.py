"""No mean is shown without its interval: every JSON document is walked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from evolve.cli.audit import audit
from evolve.cli.compare import compare
from evolve.cli.plan import plan
from evolve.cli.reading import best, show, status, tree
from evolve.cli.report import report
from evolve.cli.simulate import simulate

Invoke = Callable[..., Result]


def bare(value: Any, path: str = "") -> Iterator[str]:
    """Where a document has a mean and not both ends of an interval beside it."""
    if isinstance(value, dict):
        if value.get("mean") is not None and not {"low", "high"} <= value.keys():
            yield path
        for name, each in value.items():
            yield from bare(each, f"{path}.{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from bare(each, f"{path}[{number}]")


def test_a_bare_mean_is_found() -> None:
    assert list(bare({"a": [{"mean": 0.5}, {"mean": None}, {"mean": 0.5, "low": 0, "high": 1}]})) == [".a[0]"]


RUN = "RUN"
"""Where the grown run is named in a command,"""
PAGE = "page.html"
"""and where a file that is written."""
FEW = ("--evaluations", "12", "--workers", "3", "--jobs", "1", "--seeds", "3", "--policy", "hgm", "--policy", "uniform")


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        (status, [RUN]), (best, [RUN]), (show, [RUN, "3"]), (tree, [RUN]), (audit, [RUN]), (plan, [RUN]),
        (compare, [RUN, "11", "0"]), (report, [RUN, "-o", PAGE]), (simulate, FEW),
    ],
)  # fmt: skip
def test_no_document_has_a_mean_without_its_interval(
    verb: click.Command, arguments: Sequence[str], grown: Path, invoke: Invoke, tmp_path: Path
) -> None:
    words = [{RUN: grown, PAGE: tmp_path / PAGE}.get(each, each) for each in arguments]
    document = json.loads(invoke(verb, *words, "--json").stdout)
    assert list(bare(document)) == []
