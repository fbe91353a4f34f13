"""Whole runs recorded and played again: the same tree, row for row, with no network, no keys and no service.

The runs are real ones, in real boxes. Where a priced model is wanted it is a server on loopback that speaks OpenAI's
wire format in front of the offline model; in the replay nobody listens there.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zlib import crc32

import pytest

from archive import INTERRUPTED, Archive
from evolve.llm.offline.provider import answer
from evolve.state import in_closing_order, moves_of

pytestmark = pytest.mark.usefixtures("boxes")

KEY = "sesame-0041-nobody-knows"
OFFLINE = """
seed = {seed}
workers = 2
[budget]
evaluations = {evaluations}
[rollout]
solve_seconds = 40
improve_seconds = 60
"""
PRICED = """
seed = 11
workers = 2
[models]
solve = "mine:fixer-1"
improve = "mine:fixer-1"
diagnose = "mine:fixer-1"
max_output_tokens = 1000
[providers.mine]
kind = "openai"
url = "{url}"
key_env = "MY_KEY"
prices.fixer-1 = {{ input = 3.0, output = 15.0, cached = 0.3 }}
[budget]
evaluations = {evaluations}
[rollout]
solve_seconds = 40
improve_seconds = 60
"""
CLOCKS = ("opened", "closed", "seconds", "born", "at")
"""Fields that two runs of one day cannot share."""


class Service(ThreadingHTTPServer):
    """Chat completions of the offline model, with bills, for those who know the key."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Ask)
        self.answered = 0
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def stop(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


class Ask(BaseHTTPRequestHandler):
    """One request to the service."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        known = self.headers["authorization"] == f"Bearer {KEY}"
        status, content = self.completion(body) if known else (401, {"error": {"message": "who are you?"}})
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def completion(self, body):
        made = answer(body, crc32(repr(body["messages"][:2]).encode()))
        sent, said = made.usage.input_tokens, made.usage.output_tokens
        usage = {"prompt_tokens": sent, "completion_tokens": said, "prompt_tokens_details": {"cached_tokens": sent // 3}}
        self.server.answered += 1
        return 200, {**made.body, "usage": usage}

    def log_message(self, *_):
        """Nothing: the test's output is not the service's log."""


@pytest.fixture
def service():
    served = Service()
    yield served
    served.stop()


@pytest.fixture(scope="session")
def unplugged():
    """A command's beginning that runs the rest in a network namespace of its own, where no interface is up."""
    words = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-r", "-n"]
    look = "import socket, sys; sys.exit(0 if [name for _, name in socket.if_nameindex()] == ['lo'] else 3)"
    program = [*words, sys.executable, "-c", look]
    if shutil.which("unshare") is None or subprocess.run(program, capture_output=True, check=False).returncode != 0:
        text = "network namespaces do not work here, so no run was replayed without a network"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    return words


def make_run(folder: Path, text: str = OFFLINE, **values: object) -> Path:
    folder.mkdir()
    (folder / "run.toml").write_text(text.format(**{"seed": 5, "evaluations": 8, **values}))
    return folder


def again(run: Path, folder: Path, old: str = "", new: str = "") -> Path:
    """A new run with the settings of another one, perhaps changed in one place."""
    folder.mkdir()
    text = (run / "run.toml").read_text()
    assert old in text
    (folder / "run.toml").write_text(text.replace(old, new) if old else text)
    return folder


def start(*words: object, before: list[str] | None = None, **more: str) -> subprocess.Popen:
    """`clade WORDS`, in an environment that holds nothing but what every process needs, and `more`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_CACHE_HOME", "LANG") if name in os.environ}
    program = [*(before or ()), sys.executable, "-c", "from evolve.cli import main; main()", *map(str, words)]
    return subprocess.Popen(
        program, env=kept | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def clade(*words: object, code: int = 0, before: list[str] | None = None, seconds: float = 100, **more: str) -> str:
    """The output of a command that ends by itself."""
    process = start(*words, before=before, **more)
    try:
        out, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == code, out
    return out


def plain(row) -> dict:
    return {name: value for name, value in asdict(row).items() if name not in CLOCKS}


def story(run: Path) -> dict:
    """All that a replay must tell again, ids of rows and the order in which they ended included."""
    with Archive.open(run) as archive:
        history, decisions = archive.history(), archive.decisions()
        files = [archive.files(agent.id) for agent in history.agents]
        papers = {
            f"{type(row).__name__} {row.id} {name}": path.read_bytes()
            for row in moves_of(history)
            for name in ("patch.diff", "issue.md")
            if (path := archive.folder_of(row) / name).exists()
        }
        calls = [(call.role, call.model, call.input_tokens, call.cached_tokens, call.output_tokens, call.usd)
                 for call in archive.calls()]  # fmt: skip
    closed = [(type(row).__name__, row.id) for row in in_closing_order(moves_of(history)) if row.reason != INTERRUPTED]
    return {
        # The date of a commit is a clock, so its hash differs; the hash of its tree is the code's own.
        "agents": [{**plain(row), "commit": None} for row in history.agents],
        "files": files,
        "expansions": [plain(row) for row in history.expansions],
        "evaluations": [plain(row) for row in history.evaluations],
        "decisions": [plain(row) for row in decisions],
        "closed": closed,
        "papers": papers,
        "calls": sorted(calls),
    }


def same(run: Path, other: Path) -> None:
    """Part by part: a difference is then told by where it is."""
    one, two = story(run), story(other)
    for part, content in one.items():
        assert two[part] == content, part


def history_of(run: Path):
    with Archive.open(run) as archive:
        return archive.history()


def evidence(run: Path) -> list:
    return [row for row in history_of(run).evaluations if row.passed or row.failed]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_hundred_evaluations_are_replayed_without_service_network_and_key(service, unplugged, tmp_path, capsys):
    evaluations = int(os.environ.get("CLADE_EVALUATIONS", "100"))
    run, cassette = make_run(tmp_path / "run", PRICED, url=service.url, evaluations=evaluations), tmp_path / "cassette"
    began = time.monotonic()
    clade("run", run, "--plain", "--record", cassette, seconds=1200, MY_KEY=KEY, no_proxy="127.0.0.1")
    recorded = time.monotonic() - began
    answered = service.answered
    service.stop()
    copy = again(run, tmp_path / "copy")
    began = time.monotonic()
    clade("run", copy, "--plain", "--replay", cassette, seconds=1200, before=unplugged)
    replayed = time.monotonic() - began
    with capsys.disabled():
        spent = history_of(run).spent()
        print(
            f"\n{evaluations} evaluations, {len(history_of(run).agents)} agents, {answered} calls, "
            f"{spent.input_tokens} + {spent.output_tokens} tokens, ${spent.usd:.4f}: recorded in {recorded:.1f} s, "
            f"replayed in {replayed:.1f} s; cassette {size_of(cassette)} bytes"
        )
    assert len(evidence(run)) == evaluations
    assert history_of(run).spent().usd > 0.1
    assert service.answered == answered == history_of(run).spent().calls
    same(run, copy)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in cassette.iterdir())
