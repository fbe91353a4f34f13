"""Why a child cannot live, and whether the clock had a say in that: in real boxes, with agents of a few lines."""

import pytest

from archive import Outcome
from evolve import lifecheck
from evolve.ancestor import ancestor
from evolve.expand import expand
from evolve.house import House
from evolve.jobs import ExpansionJob
from evolve.lifecheck import life_check
from evolve.llm import Gateway, Ledger, Scope, open_models
from evolve.settings import Settings
from sandbox import open_sandbox

SCOPE = Scope("expansion-1-life", seed=3, move="expansion-1")
SLEEPS = b"import sys, time\nif '--selfcheck' in sys.argv:\n    time.sleep(60)\n"
IDLES = b"import sys, time\nif '--selfcheck' not in sys.argv:\n    time.sleep(60)\n"

WRITES = b"""import json, sys
from pathlib import Path
paths = dict(zip(sys.argv[1::2], sys.argv[2::2]))
request = json.loads(Path(paths["--request"]).read_text())
Path(request["repository"], "agent", "__main__.py").write_bytes(%r)
Path(paths["--result"]).write_text(json.dumps({"status": "done", "summary": "I take my time now."}))
"""
"""An agent that gives its child the source that is put in here."""


@pytest.fixture(scope="module")
def house(boxes, tmp_path_factory):
    scratch, sandbox = tmp_path_factory.mktemp("scratch"), open_sandbox("bwrap")
    models = open_models(dict.fromkeys(("solve", "improve", "diagnose"), "offline:repair"), {})
    with Gateway(models, Ledger(None), folder=scratch) as gateway:
        yield House(Settings(), sandbox, gateway, scratch)
    sandbox.close()


def test_the_seed_agent_lives(house):
    assert life_check(ancestor(None), house, SCOPE) is None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"def main(:\n", "does not compile: SyntaxError"),
        (b"raise SystemExit('no tools')\n", "fails its self-check: no tools"),
        (b"import sys\nif '--selfcheck' not in sys.argv:\n    1 / 0\n", "in the scripted exercise it crashed with"),
    ],
)
def test_what_is_broken_is_so_on_every_machine(house, source, reason):
    death = life_check({"__main__.py": source}, house, SCOPE)
    assert death.reason.startswith(reason) and not death.clocked


def test_what_is_too_slow_might_have_lived(house, monkeypatch):
    monkeypatch.setattr(lifecheck, "SECONDS", 6.0)
    death = life_check({"__main__.py": IDLES}, house, SCOPE)
    assert (death.reason, death.clocked) == ("does not end the scripted exercise in time", True)


@pytest.mark.parametrize(("child", "repeatable"), [(SLEEPS, False), (b"raise SystemExit('no tools')\n", True)])
def test_a_child_that_was_too_slow_is_not_what_every_replay_would_bring_about(house, monkeypatch, child, repeatable):
    monkeypatch.setattr(lifecheck, "SECONDS", 6.0)
    job = ExpansionJob("expansion-1", {"__main__.py": WRITES % child}, "haste", (), 3, frozenset())
    record = expand(job, house)
    assert record.outcome is Outcome.STILLBORN and record.reason.startswith("fails its self-check")
    assert record.repeatable is repeatable
