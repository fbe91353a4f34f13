"""What a task may ask of a rollout: a set-up by the house, variables, a second try. Real boxes, agents of one deed."""

import json
from dataclasses import replace

import pytest

from archive import Outcome
from benchmarks import Benchmark, Environment, Task, Verdict
from evolve.evaluate import evaluate
from evolve.jobs import EvaluationJob
from evolve.llm import Completion, Usage
from evolve.settings import Settings
from sandbox import File

MAIN = """
import json, os, pathlib, sys, urllib.request
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
request = json.load(open(given["--request"]))
os.chdir(request["repository"])
{deed}
json.dump({{"status": "done", "summary": summary, "steps": 0}}, open(given["--result"], "w"))
"""


class Ladder(Benchmark):
    """A file that must say `top`; one step is climbed a try, and a fallen climber is told how high he was."""

    name = "ladder"

    def __init__(self, **task):
        self.more = task
        self.graded = []

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return ("climb",)

    def tasks(self, split):
        return self.ids()

    def task(self, id):
        return Task(id, "search", "Climb.", {"step": File(b"ground\n"), "other": File(b"x\n")}, **self.more)

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return "one"

    def grade(self, id, diff, sandbox):
        self.graded.append(diff)
        reached = {change.path: change.after.content for change in diff.changes if change.after}.get("step", b"")
        if reached == b"fall\n":
            return Verdict("TAMPERED", "he flew")
        return Verdict("RESOLVED" if reached == b"top\n" else "UNRESOLVED", "measured", output="not the top")

    def second_try(self, id, diff, verdict):
        task = self.task(id)
        return replace(task, problem=f"Climb on: {verdict.output}", files=diff.apply(task.files))


class OneTry(Ladder):
    def second_try(self, id, diff, verdict):
        return None


class Silent:
    name = "silent"

    async def complete(self, request, scope):
        body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "no"}, "finish_reason": "stop"}]}
        return Completion(body, Usage(1, 0, 0, 1))

    async def close(self):
        pass


@pytest.fixture
def house(sandbox, tmp_path, shared):
    with shared.house_of(tmp_path, sandbox, Silent, Settings(rollout={"solve_seconds": 15})) as house:
        yield house


def measured(house, benchmark, *deed):
    agent = {"__main__.py": MAIN.format(deed="\n".join(deed)).encode()}
    return evaluate(EvaluationJob("evaluation-1", agent, "climb", 1), house, benchmark)


def told(record, name="verdict.json"):
    return json.loads(record.files[name])


CLIMB = (
    "step = pathlib.Path('step')",
    "summary = step.read_text() + request['problem']",
    "step.write_text({'ground\\n': 'middle\\n', 'middle\\n': 'top\\n'}[step.read_text()])",
)


class TestSecondTry:
    def test_it_begins_where_the_first_ended_and_is_told_what_the_tests_said(self, house):
        ladder = Ladder()
        record = measured(house, ladder, *CLIMB)
        assert (record.outcome, record.reason) == (Outcome.RESOLVED, "at the second try: measured")
        assert told(record, "first-verdict.json")["agent"]["summary"] == "ground\nClimb."
        assert told(record)["agent"]["summary"] == "middle\nClimb on: not the top"

    def test_both_are_judged_against_the_tasks_own_files(self, house):
        ladder = Ladder()
        record = measured(house, ladder, *CLIMB, "pathlib.Path('other').unlink(missing_ok=True)")
        assert [diff.paths for diff in ladder.graded] == [("other", "step")] * 2
        assert [diff.changes[1].before for diff in ladder.graded] == [File(b"ground\n")] * 2
        assert b"-ground" in record.files["first-patch.diff"]
        assert b"-ground" in record.files["patch.diff"]

    def test_what_is_resolved_or_forged_is_not_tried_again(self, house):
        for step, outcome in (("top", Outcome.RESOLVED), ("fall", Outcome.TAMPERED)):
            ladder = Ladder()
            record = measured(house, ladder, f"pathlib.Path('step').write_text('{step}\\n')", "summary = ''")
            assert (record.outcome, len(ladder.graded)) == (outcome, 1)

    def test_one_try_is_all_there_is_unless_the_benchmark_gives_another(self, house):
        ladder = OneTry()
        record = measured(house, ladder, *CLIMB)
        assert (record.outcome, record.reason, len(ladder.graded)) == (Outcome.UNRESOLVED, "measured", 1)
        assert "first-verdict.json" not in record.files


class TestSetUp:
    def test_what_set_up_makes_is_the_tasks_and_not_the_agents(self, house):
        made = OneTry(setup=(("sh", "-c", "echo made > made; echo pins >> other"),))
        record = measured(house, made, "summary = open('made').read() + open('other').read()")
        assert told(record)["agent"]["summary"] == "made\nx\npins\n"
        assert record.files["patch.diff"] == b""

    def test_a_set_up_that_fails_is_the_houses_fault(self, house):
        broken = OneTry(setup=(("sh", "-c", "echo more than one commit >&2; exit 3"),))
        record = measured(house, broken, "summary = ''")
        assert record.outcome is Outcome.VOID
        assert "ended with status 3" in record.reason
        assert "more than one commit" in record.reason

    def test_variables_and_mounts_reach_the_agent(self, house, tmp_path):
        tools = tmp_path / "tools"
        tools.mkdir()
        (tools / "hammer").write_text("heavy")
        for folder in (tmp_path, tools):
            folder.chmod(0o755)
        around = Environment(mounts={"/opt/tools": tools}, variables={"FORGE": "hot"})
        record = measured(
            house,
            OneTry(environment=around),
            "summary = os.environ['FORGE'] + open('/opt/tools/hammer').read() + os.environ['CLADE_SOCKET']",
        )
        assert told(record)["agent"]["summary"] == "hotheavy/run/clade/gateway.sock"
