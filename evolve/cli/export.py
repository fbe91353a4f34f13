"""`clade export`: one agent as a folder that works by itself, with the record of where it comes from."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from archive import Agent, Archive, Outcome, chosen, tallies
from evolve.cli.naming import agent_called
from evolve.cli.reading import json_option, reading, run_argument
from evolve.cli.render import echo_json
from evolve.cli.summary import elsewhere, line_of, standing

PACKAGE = "agent"
"""Where the agent's own files lie in the export: the name under which its contract has it started."""
PROVENANCE = "provenance.json"
LAUNCHER = '''\
"""Start the agent in the folder `agent` beside this file, as its contract says: python -m agent."""

import runpy

if __name__ == "__main__":
    runpy.run_module("agent", run_name="__main__", alter_sys=True)
'''
LICENSE_NOTE = (
    "The seed agent that comes with Clade is licensed under Apache-2.0. What models wrote into its descendants was "
    "neither checked for licences nor reviewed by a person; look at the diffs below before you pass it on. Run it in a "
    "sandbox: it executes commands."
)


@click.command()
@run_argument
@click.argument("name", metavar="AGENT")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@json_option
def export(folder: Path, name: str, out: Path, as_json: bool) -> None:
    """Write AGENT of RUN into the new folder OUT: its files, a launcher, and its provenance.

    `python OUT --selfcheck` tries it; CONTRACT.md in it says how it is used.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise click.UsageError(f"{out} exists already and is not an empty folder")
    with reading(folder) as (archive, _):
        agent = agent_called(name, archive.history().agents)
        files = archive.files(agent.id)
        record = provenance(archive, agent)
    write(out, files, record)
    if as_json:
        echo_json({"agent": agent.id, "commit": agent.commit, "folder": str(out), "files": len(files)})
    else:
        click.echo(f"agent {agent.id} is in {out}; try it with: python {out} --selfcheck")


def provenance(archive: Archive, agent: Agent) -> dict[str, Any]:
    """Where an agent comes from and what is known of it, JSON-ready."""
    history = archive.history()
    own = tallies(history.evaluations)
    births = {row.child: row for row in history.expansions if row.outcome is Outcome.BORN}
    steps = []
    for each in line_of(history, agent):
        birth = births.get(each.id)
        steps.append(
            {
                "agent": each.id,
                "parent": each.parent,
                "commit": each.commit,
                "tree": each.tree,
                "shape": each.shape,
                "born": each.born.isoformat(),
                "entry": birth.entry if birth else None,
                "issue": birth.issue if birth else None,
                "outcome": birth.outcome if birth else None,
                "seed": birth.seed if birth else None,
                "bill": asdict(birth.bill) if birth else None,
                "diff": None if each.parent is None else archive.diff(each.parent, each.id),
                "score": standing(each, own[each.id]) if each.id in own else None,
            }
        )
    evaluations = [row for row in history.evaluations if row.agent == agent.id and (row.passed or row.failed)]
    return {
        "agent": agent.id,
        "commit": agent.commit,
        "tree": agent.tree,
        "search_score": standing(agent, own[agent.id]) if agent.id in own else None,
        "scores_on_request": elsewhere(history, agent.id),
        "interval": "95 %, equal-tailed, of Beta(1 + passed, 1 + failed)",
        "evaluations": [
            {
                "benchmark": row.benchmark,
                "split": row.split,
                "task": row.task,
                "attempt": row.attempt,
                "seed": row.seed,
                "outcome": row.outcome,
                "for_the_search": chosen(row),
            }
            for row in evaluations
        ],
        "lineage": steps,
        "models": sorted({call.model for call in archive.calls()}),
        "notes": {key: without_passwords(value) for key, value in archive.about.items()},
        "versions": versions(),
        "license": LICENSE_NOTE,
    }


def without_passwords(text: str) -> str:
    """A note (the settings are one) without what stands as a password in a URL: an export is made to be passed on."""
    return re.sub(r"(://[^\s:/@\"']*):[^\s@\"']+@", r"\1:***@", text)


def versions() -> dict[str, str]:
    """What made this export."""
    return {"clade-evolve": importlib.metadata.version("clade-evolve"), "python": platform.python_version()}


def write(out: Path, files: dict[str, bytes], record: dict[str, Any]) -> None:
    """All of it or nothing: written beside `out` first, then renamed."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        temporary.chmod(0o755)
        for path, content in files.items():
            target = temporary / PACKAGE / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (temporary / "__main__.py").write_text(LAUNCHER, encoding="utf-8")
        (temporary / PROVENANCE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        temporary.replace(out)  # replaces an empty folder too
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
