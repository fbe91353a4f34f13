"""Defects of the two reference implementations that no other test would find in Clade; docs/peers.md says which.

Real boxes, the real judge and the real life check, with agents made for the purpose and a model that plays a script.
"""

import json
from datetime import UTC, datetime

import pytest

import evolve.rollout
from archive import Archive, Decision, Evaluation, Outcome
from benchmarks import Benchmark, Task
from benchmarks.grading import grade
from benchmarks.pytest_exam import Exam, examine
from benchmarks.pytest_site import pytest_site
from evolve.ancestor import ancestor
from evolve.evaluate import evaluate
from evolve.evidence import evidence_of
from evolve.expand import expand
from evolve.house import House
from evolve.jobs import EvaluationJob, ExpansionJob
from evolve.llm import Completion, Usage
from evolve.settings import Settings
from evolve.shape import shape
from sandbox import File, SandboxError

CANARY = "canary_5f1d7c"
SOLUTION = "pkg/testing/plus.py"
"""A solution file in a folder that a filter by path would take for tests."""


class Sums(Benchmark):
    """Sums to be mended, judged by the real judge; with visible and hidden tests."""

    name = "sums"

    def __init__(self, cache):
        self.cache = cache

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return self.tasks("search")

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return id

    def tasks(self, split):
        return ("sum-0",)

    def task(self, id):
        files = {
            SOLUTION: File(b"def plus(a, b):\n    return a - b\n"),
            "check.py": File(b"from pkg.testing.plus import plus\nassert plus(1, 0) == plus(0, 1), 'seen_9b2e'\n"),
            "run.sh": File(b"#!/bin/sh\r\n# \xff\n", executable=True),
        }
        return Task(id, "search", f"{SOLUTION} has a bug.", files, "python check.py")

    def grade(self, id, diff, sandbox):
        hidden = f"# {CANARY}\nfrom pkg.testing.plus import plus\n\n\ndef test_it():\n    assert plus(2, 3) == 5\n"
        exam = Exam({"test_it.py": File(hidden.encode())}, ("test_it.py",), 20.0, ("test_it.py::test_it",))
        task, site = self.task(id), pytest_site(self.cache)
        return grade(
            task, {SOLUTION}, lambda tree: examine(tree, exam, sandbox, site, visible=task.test_command), diff, sandbox
        )


class Script:
    """A model that plays answers in turn, the last one again and again, and remembers what it was asked."""

    name = "script"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def complete(self, request, scope):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        message = {"role": "assistant", **({"content": answer} if isinstance(answer, str) else answer)}
        body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return Completion(body, Usage(1, 0, 0, 1))

    async def close(self):
        pass


def bash(command):
    call = {"name": "bash", "arguments": json.dumps({"command": command})}
    return {"content": "", "tool_calls": [{"id": "c", "type": "function", "function": call}]}


def agent(deed):
    """An agent in several files and folders that does one deed in its repository and asks no model."""
    main = (
        "import json, os, sys\n"
        "from .parts.deeper import deed\n"
        "if '--selfcheck' in sys.argv: sys.exit()\n"
        "given = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "os.chdir(json.load(open(given['--request']))['repository'])\n"
        "summary = str(deed.do())\n"
        "json.dump({'status': 'done', 'summary': summary, 'steps': 0}, open(given['--result'], 'w'))\n"
    )
    texts = {"__init__.py": "", "__main__.py": main, "parts/__init__.py": "", "parts/deeper/__init__.py": ""}
    return {path: text.encode() for path, text in {**texts, "parts/deeper/deed.py": deed}.items()}


def deed(*lines):
    return agent(
        "import os, pathlib, shutil, subprocess, time\ndef do():\n" + "".join(f"    {line}\n" for line in lines)
    )


MEND = f"pathlib.Path({SOLUTION!r}).write_text('def plus(a, b):\\n    return a + b\\n')"


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    return Sums(tmp_path_factory.mktemp("site"))


@pytest.fixture
def house(sandbox, tmp_path, shared):
    """A house whose improving model does what a test puts into its `answers`."""
    settings = Settings(rollout={"solve_seconds": 15, "improve_seconds": 30})
    with shared.house_of(tmp_path, sandbox, lambda: Script("Give it another try."), settings) as house:
        yield house


def measured(house, sums, files, key="evaluation-1"):
    return evaluate(EvaluationJob(key, files, "sum-0", 1), house, sums)


def told(record):
    return json.loads(record.files["verdict.json"])


class TestMeasuring:
    def test_a_box_holds_the_task_and_the_agent_and_nothing_else(self, house, sums):
        """G1, G4, G8: no hidden test, no reference, no history, no other agent, no earlier run."""
        files = deed(
            "shown = [str(path) for top in ('/box', '/opt/clade') for path in pathlib.Path(top).rglob('*')]",
            "return ' '.join(sorted(path for path in shown if os.path.isfile(path)))",
        )
        found = set(told(measured(house, sums, files))["agent"]["summary"].split())
        desk = {f"/box/desk/{name}" for name in ("request.json", "transcript.jsonl", "result.json")}
        task = {f"/box/work/{path}" for path in sums.task("sum-0").files}
        assert (
            task | {"/box/desk/request.json"} <= found <= task | desk | {f"/opt/clade/agent/{path}" for path in files}
        )
        assert {f"/opt/clade/agent/{path}" for path in files} <= found

    def test_what_running_leaves_behind_is_no_patch(self, house, sums):
        """G2, G6: caches, a git repository and the files' own oddities are not the agent's work."""
        record = measured(
            house,
            sums,
            deed(
                "subprocess.run(['python', '-c', 'import pkg.testing.plus'], env={'PATH': os.environ['PATH']})",
                "os.makedirs('.pytest_cache'); open('.pytest_cache/v', 'w').write('x')",
                "os.makedirs('.git/info'); open('.git/info/exclude', 'w').write('*')",
                "return sum(1 for _ in pathlib.Path().rglob('*.pyc'))",
            ),
        )
        assert told(record)["agent"]["summary"] != "0", "no cache was made: the test would prove nothing"
        assert (record.outcome, record.files["patch.diff"]) == (Outcome.EMPTY_PATCH, b"")

    def test_a_right_solution_counts_wherever_its_file_lies_and_however_it_is_hidden(self, house, sums):
        """G11, G12: in a folder named `testing`, committed, ignored, with a hostile conftest.py beside it."""
        record = measured(
            house,
            sums,
            deed(
                MEND,
                "open('conftest.py', 'w').write('raise SystemExit(0)')",
                "open('.gitignore', 'w').write('*')",
                "git = ['git', '-c', 'user.name=x', '-c', 'user.email=x@y']",
                "steps = (['init', '-q'], ['add', '-fA'], ['commit', '-qm', 'x']) if shutil.which('git') else ()",
                "return [subprocess.run([*git, *step]).returncode for step in steps]",
            ),
        )
        assert record.outcome is Outcome.RESOLVED
        assert {"conftest.py", ".gitignore"} <= set(told(record)["grading"]["dropped"])

    def test_work_done_before_the_time_limit_counts(self, house, sums, monkeypatch):
        """G5: a time-out does not throw the work away."""
        monkeypatch.setattr(evolve.rollout, "GRACE_SECONDS", 0.0)
        house = House(Settings(rollout={"solve_seconds": 2}), house.sandbox, house.gateway, house.scratch)
        record = measured(house, sums, deed(MEND, "time.sleep(600)"))
        assert told(record)["agent"]["timed_out"]
        assert record.outcome is Outcome.RESOLVED

    def test_a_house_that_fails_is_no_evidence(self, house, sums, monkeypatch):
        """G5: no box can be made."""

        def full(*_, **__):
            raise SandboxError("no space left on the machine")

        monkeypatch.setattr(type(house.sandbox), "open", full)
        record = measured(house, sums, deed(MEND))
        assert (record.outcome, record.reason) == (Outcome.VOID, "the house: no space left on the machine")


class TestRewriting:
    def test_a_diagnosis_sees_the_visible_failure_and_nothing_hidden(self, house, sums, tmp_path):
        """G9, G10, T10: the real papers of a failed evaluation, in the question the diagnosing model gets."""
        files = deed(f"pathlib.Path({SOLUTION!r}).write_text('def plus(a, b):\\n    return b - a\\n')")
        measurement = measured(house, sums, files)
        assert measurement.outcome is Outcome.UNRESOLVED
        for name, content in measurement.files.items():
            (tmp_path / name).write_bytes(content)
        row = Evaluation(1, 0, 0, "sums", "search", "sum-0", 0, 1, datetime.now(UTC), outcome=Outcome.UNRESOLVED)
        evidence = evidence_of(row, tmp_path, sums)
        expand(ExpansionJob("expansion-1", files, None, (evidence,), 1, frozenset()), house)
        asked = json.dumps(house.gateway.models["diagnose"].provider.requests[0]["messages"])
        assert "seen_9b2e" in asked
        assert "return b - a" in asked, "the patch"
        assert "--- agent/parts/deeper/deed.py" in asked, "this agent's own source, not that of another one"
        assert CANARY not in asked
        assert "plus(2, 3)" not in asked

    def rewritten(self, house, *commands):
        seed = ancestor(None)
        house.gateway.models["improve"].provider.answers = [*map(bash, commands), "I changed it."]
        return seed, expand(ExpansionJob("expansion-2", seed, "It gives up.", (), 1, frozenset({shape(seed)})), house)

    def test_logs_and_caches_are_no_change(self, house):
        """G6: an agent that changed nothing of itself has no child."""
        _, record = self.rewritten(
            house, "echo log > self_evo.md; mkdir agent/__pycache__; echo x > agent/__pycache__/x.pyc"
        )
        assert record.outcome is Outcome.NO_CHANGE
        assert set(told(record)["dropped"]) == {"self_evo.md"}

    @pytest.mark.parametrize(
        ("command", "why"),
        [
            ("echo 'def broken(:' >> agent/tools.py", "does not compile"),
            ("echo 'import numpy_is_not_here' >> agent/tools.py", "fails its self-check"),
            ("echo 'import sys; sys.exit(0)' > agent/__main__.py", "in the scripted exercise"),
        ],
    )
    def test_a_child_that_cannot_work_is_never_admitted(self, house, command, why):
        """T3: the third one would even pass a self-check of its own making."""
        _, record = self.rewritten(house, command)
        assert record.outcome is Outcome.STILLBORN
        assert why in record.reason
        assert record.child is None

    def test_a_child_is_its_whole_tree_byte_for_byte(self, house, tmp_path):
        """G7, G13, G14: new files of any name and encoding, in the record, in git and in the next box."""
        seed, record = self.rewritten(
            house,
            "sed -i 's/^MAX_STEPS = .*/MAX_STEPS = 31/' agent/agent.py; echo X = 1 > agent/extra.py",
            "mkdir -p agent/notes; printf '\\377\\r\\n' > agent/notes/naïve.txt; rm agent/CONTRACT.md",
        )
        assert (record.outcome, record.reason) == (Outcome.BORN, "passes the life check")
        changed = {"extra.py": b"X = 1\n", "notes/naïve.txt": b"\xff\r\n", "agent.py": record.child["agent.py"]}
        assert b"\nMAX_STEPS = 31" in record.child["agent.py"]
        assert record.child == {path: text for path, text in {**seed, **changed}.items() if path != "CONTRACT.md"}
        with Archive.create(tmp_path / "run") as archive:
            archive.add_seed(seed, shape(seed))
            row = archive.open_expansion(
                Decision(0, "hgm", "expand", 0, None, "{}", datetime.now(UTC)), entry="x", seed=1
            )
            archive.close_expansion(row.id, record.outcome, reason="", files=record.child, shape=record.shape)
            assert archive.files(1) == record.child


def test_the_first_ancestor_is_the_folder_that_was_named(tmp_path):
    """T10: another agent's name is not just another name for the same code."""
    (tmp_path / "mine" / "__pycache__").mkdir(parents=True)
    (tmp_path / "mine" / "__main__.py").write_text(CANARY)
    (tmp_path / "mine" / "__pycache__" / "x.pyc").write_text("")
    assert ancestor(str(tmp_path / "mine")) == {"__main__.py": CANARY.encode()}
