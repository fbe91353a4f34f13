"""No key is in a box, and if one were, the run would stop: real boxes, and an agent that looks everywhere."""

import json
import os

import pytest

from archive import Outcome
from benchmarks import Benchmark, Environment, Task, Verdict
from evolve.evaluate import evaluate
from evolve.jobs import EvaluationJob, cleaned
from evolve.llm import Tripwire
from evolve.settings import Settings
from sandbox import File, SandboxError, open_sandbox

SEARCH = """
import glob, json, os, socket, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
os.chdir(json.load(open(given["--request"]))["repository"])
MARKS = [part.encode() for part in ("sk-can" + "ary-", "host-secret" + "-4711")]
hits, seen = [], 0
def look(path, content):
    global seen
    seen += 1
    if any(mark in content for mark in MARKS):
        hits.append(path)
        return content
look("environ", repr(dict(os.environ)).encode())
for pattern in ("/proc/*/environ", "/proc/*/cmdline", "/proc/*/mountinfo", "/proc/self/task/*/environ"):
    for path in glob.glob(pattern):
        try:
            look(path, open(path, "rb").read())
        except OSError:
            pass
found = None
for folder, names, files in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/usr/lib", "/usr/share", "/lib")):
        names[:] = []
        continue
    for name in files:
        path = os.path.join(folder, name)
        if path.startswith("/opt/clade/agent"):
            continue
        try:
            if os.path.isfile(path) and os.path.getsize(path) < 1_000_000:
                found = look(path, open(path, "rb").read()) or found
        except OSError:
            pass
{deed}
json.dump({{"status": "done", "summary": json.dumps([seen, hits]), "steps": 0}}, open(given["--result"], "w"))
"""


class Any(Benchmark):
    """A task that every change solves."""

    name = "any"

    def __init__(self, **task):
        self.more = task
        self.graded = []

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return ("one",)

    def tasks(self, split):
        return self.ids()

    def task(self, id):
        return Task(id, "search", "Look.", {"file": File(b"x\n")}, **self.more)

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return "one"

    def grade(self, id, diff, sandbox):
        self.graded.append(diff)
        return Verdict("RESOLVED", "measured")


class Silent:
    name = "silent"

    async def complete(self, request, scope):
        raise AssertionError("the request of a box with a key must not be sent on")

    async def close(self):
        pass


@pytest.fixture(scope="module", params=["bwrap", pytest.param("docker", marks=pytest.mark.docker)])
def boxes(request):
    # What the launcher of boxes could leak must be there before it starts.
    patch = pytest.MonkeyPatch()
    patch.setenv("SOME_SERVICE_API_KEY", "host-secret-4711")
    try:
        opened = open_sandbox(request.param)
    except SandboxError as error:
        patch.undo()
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{request.param} does not work here, so no agent was run in it: {error}")
    yield opened
    opened.close()
    patch.undo()


@pytest.fixture
def house(boxes, tmp_path, shared):
    tripwire = Tripwire()
    tripwire.plant()
    settings = Settings(rollout={"solve_seconds": 60})
    with shared.house_of(tmp_path, boxes, Silent, settings, tripwire) as house:
        yield house
    tripwire.lift()


def measured(house, benchmark, deed="pass"):
    agent = {"__main__.py": SEARCH.format(deed=deed).encode()}
    return evaluate(EvaluationJob("evaluation-1", agent, "one", 1), house, benchmark)


@pytest.fixture
def breached(house, tmp_path):
    """A benchmark whose boxes have the canary in a file: what must never happen."""
    folder = tmp_path / "leak"
    folder.mkdir()
    (folder / "credentials").write_text(f"key = {house.tripwire.canary}\n")
    for path in (tmp_path, folder):
        path.chmod(0o755)
    return Any(environment=Environment(mounts={"/opt/leak": folder}))


def test_an_agent_that_looks_everywhere_finds_no_key(house):
    record = measured(house, Any())
    assert record.outcome is Outcome.RESOLVED, record.reason
    seen, hits = json.loads(json.loads(record.files["verdict.json"])["agent"]["summary"])
    assert hits == [] and seen > 20
    assert house.tripwire.breach is None


LEAKS = {
    "in its changes": "open('file', 'ab').write(found)",
    "in a new file, in base64": "import base64; open('new', 'wb').write(base64.b64encode(b'ab' + found))",
    "in its messages": "sys.stderr.write(found.decode())",
    "to its model": (
        "link = socket.socket(socket.AF_UNIX); link.connect(os.environ['CLADE_SOCKET']); "
        "body = json.dumps({{'model': 'solve', 'messages': [{{'role': 'user', 'content': found.decode()}}]}}); "
        "link.sendall(('POST /v1/chat/completions HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\ncontent-length: %d"
        "\\r\\n\\r\\n%s' % (len(body), body)).encode()); link.recv(9999)"
    ).replace("{{", "{").replace("}}", "}"),
}  # fmt: skip


@pytest.mark.parametrize("deed", LEAKS.values(), ids=LEAKS)
def test_a_box_that_shows_a_key_is_caught_and_says_nothing_about_its_agent(house, breached, deed):
    record = measured(house, breached, deed)
    assert record.outcome is Outcome.VOID
    assert "the isolation of this run is broken" in record.reason
    assert "evaluation-1" in house.tripwire.breach
    assert breached.graded == [], "nothing of it is graded"
    kept = cleaned(record)
    for text in (kept.reason.encode(), *kept.files.values()):
        assert house.tripwire.canary.encode() not in text
