"""Every policy is offered where people look for it: in a new run.toml with options that are real, and in the docs."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

from evolve.policies import AnyPolicy
from evolve.settings import POLICIES, parse

LINES = files("evolve").joinpath("template.toml").read_text("utf-8").splitlines()
CLASSES = {policy.model_fields["name"].default: policy for policy in get_args(get_args(AnyPolicy)[0])}
COMMENTED = [found.groups() for line in LINES if (found := re.match(r'# name = "([\w-]+)"\s+# (.*)', line))]
OFFERED = [(name, text) for name, text in COMMENTED if name in POLICIES]
PAGE = (Path(__file__).parents[3] / "docs" / "policies.md").read_text("utf-8")


def test_all_are_in_a_new_run_toml():
    line = next(line for line in LINES if line.startswith("name ="))
    named = re.findall(r"[\w-]+", line.partition("# also ")[2].partition(":")[0])
    assert sorted(["kin", *named]) == sorted(POLICIES)


@pytest.mark.parametrize(("name", "text"), OFFERED, ids=[name for name, _ in OFFERED])
def test_the_options_named_there_are_real_with_those_defaults(name, text):
    parts = text.split("; ")
    taken = parts.pop(0).split(", ") if "=" not in parts[0] else []
    assert taken == [option for option in ("alpha", "epsilon") if CLASSES[name].model_fields.get(option)]
    settings = parse("\n".join(["[policy]", f'name = "{name}"', *parts]))
    assert settings.policy == CLASSES[name]()
    assert tomllib.loads("\n".join(parts)).keys() <= CLASSES[name].model_fields.keys()


@pytest.mark.parametrize("name", POLICIES)
def test_all_are_in_the_docs_with_all_their_options(name):
    assert re.search(rf"^\| `{name}`", PAGE, re.MULTILINE)
    if name in ("greedy", "uniform", "kin"):
        return
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    own = CLASSES[name].model_fields.keys() - {"name", "alpha", "epsilon", "cooling"}
    fixed = {"unmeasured", "patience"} if name in ("hgm-paper", "mendel") else set()
    assert [option for option in sorted(own - fixed) if f"`{option}" not in section] == []
