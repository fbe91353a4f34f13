"""The command line: every verb of `clade`, and the one place where errors become messages and exit codes.

Exit codes: 0 done, 1 a failure, 2 wrong usage or settings, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from archive import ArchiveError
from benchmarks import BenchmarkError
from evolve.cli.doctor import doctor
from evolve.cli.export import export
from evolve.cli.measuring import evaluate
from evolve.cli.reading import best, diff, show, status, tree
from evolve.cli.running import init, run
from evolve.llm import ModelError
from evolve.settings import SettingsError
from sandbox import SandboxError

USAGE_ERRORS = (SettingsError, BenchmarkError)
FAILURES = (ArchiveError, SandboxError, ModelError, OSError)


class Verbs(click.Group):
    """A click group that ends in one sentence, never in a traceback, for what is not a fault of Clade itself."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except USAGE_ERRORS as error:
            self.fail(error, 2)
        except BrokenPipeError:  # the reader of our output has gone, as `| head` does
            sys.stderr.close()
            sys.exit(0)
        except FAILURES as error:
            self.fail(error, 1)
        except KeyboardInterrupt:
            click.echo("clade: interrupted", err=True)
            sys.exit(130)

    @staticmethod
    def fail(error: Exception, code: int) -> None:
        click.echo(f"clade: {error}", err=True)
        sys.exit(code)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clade-evolve", prog_name="clade")
def main() -> None:
    """Grow a family tree of coding agents that rewrite their own source.

    \b
    clade init runs/first     write a commented run.toml
    clade run runs/first      grow the tree; run again to go on after any stop
    clade tree runs/first     look at it
    clade best runs/first     the agent to take away, with an honest interval
    """


for verb in (init, run, status, tree, show, diff, best, export, evaluate, doctor):
    main.add_command(verb)
