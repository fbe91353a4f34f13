"""The command line: every verb of `clade`, and the one place where errors become messages and exit codes.

Exit codes: 0 done, 1 a failure, 2 wrong usage or settings, 130 interrupted.
"""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module
from typing import Any

import click

# Before numpy is imported. Threads for matrices as small as ours wait for one another, and for the agents' processes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

VERBS = {
    "init": "running",
    "run": "running",
    "status": "reading",
    "tree": "reading",
    "show": "reading",
    "diff": "reading",
    "best": "reading",
    "export": "export",
    "evaluate": "measuring",
    "compare": "compare",
    "noise": "noise",
    "plan": "plan",
    "final": "final",
    "audit": "audit",
    "report": "report",
    "models": "models",
    "cost": "cost",
    "estimate": "estimate",
    "simulate": "simulate",
    "vllm": "vllm",
    "benchmarks": "benchmarks",
    "doctor": "doctor",
}
"""Verb to module. A verb's module is imported when it is asked for: all of them together take a second or two."""


class Verbs(click.Group):
    """A click group that ends in one sentence, never in a traceback, for what is not a fault of Clade itself."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command:
        if name not in VERBS:
            near = difflib.get_close_matches(name, VERBS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"the verbs are: {', '.join(VERBS)}"
            raise click.UsageError(f"No such command {name!r}; {hint}", context)
        command = getattr(import_module(f"evolve.cli.{VERBS[name]}"), name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:  # the reader of our output has gone, as `| head` does
            sys.stderr.close()
            sys.exit(0)
        except (ValueError, RuntimeError, OSError) as error:
            code = exit_code(error)
            if code is None:
                raise
            from evolve.llm.redact import redact

            click.echo(f"clade: {redact(sentence(error))}", err=True)
            sys.exit(code)
        except KeyboardInterrupt:
            click.echo("clade: interrupted", err=True)
            sys.exit(130)


def sentence(error: Exception) -> str:
    """What went wrong; of a file that the machine refused, its name and why, without a number."""
    if isinstance(error, OSError) and error.strerror and isinstance(error.filename, str):
        return f"{error.filename}: {error.strerror}"
    return str(error)


def exit_code(error: Exception) -> int | None:
    """2 for wrong settings, 1 for a failure of the house's or the machine's; None for a fault of Clade itself."""
    # Imported here: only a failing command needs to know all rooms' errors.
    from archive import ArchiveError
    from benchmarks import BenchmarkError
    from evolve.settings import SettingsError
    from sandbox import SandboxError

    if isinstance(error, SettingsError | BenchmarkError):
        return 2
    return 1 if isinstance(error, ArchiveError | SandboxError | OSError) else None  # a ModelError is an OSError


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clade-evolve", prog_name="clade")
def main() -> None:
    """Grow a family tree of coding agents that rewrite their own source.

    \b
    clade init runs/first     write a commented run.toml
    clade run runs/first      grow the tree; run again to go on after any stop
    clade tree runs/first     look at it
    clade best runs/first     the agent to take away, with an honest interval
    clade final runs/first    is it truly better? the sealed tasks are opened, once
    """
