"""Whole runs recorded and played again: the same tree, row for row, with no network, no keys and no service.

The runs are real ones, in real boxes. Where a priced model is wanted it is a server on loopback that speaks OpenAI's
wire format in front of the offline model; in the replay nobody listens there.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zlib import crc32

import pytest
from click.testing import CliRunner

from archive import INTERRUPTED, Archive, ArchiveError
from evolve.cli import main
from evolve.llm import ModelError
from evolve.llm.offline.provider import answer
from evolve.state import in_closing_order, moves_of

pytestmark = pytest.mark.usefixtures("boxes")

KEY = "sesame-0041-nobody-knows"
OFFLINE = """
seed = {seed}
workers = 2
[budget]
evaluations = {evaluations}
[benchmark]
name = "repair"
search = 12
validation = 0
sealed = 3
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
CALL = re.compile(
    r"call 1 of evaluation-[12], evaluate agent 0 on \S+, by the role solve to offline:repair, is not on "
)
"""How a missed call is named; two rollouts begin at the same time, and either may ask first."""
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
        try:
            made = answer(body, crc32(repr(body["messages"][:2]).encode()))
        except ModelError as error:
            return 400, {"error": {"message": f"prompt is too long: {error} (context_length_exceeded)"}}
        sent, said = made.usage.input_tokens, made.usage.output_tokens
        usage = {
            "prompt_tokens": sent,
            "completion_tokens": said,
            "prompt_tokens_details": {"cached_tokens": sent // 3},
        }
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
    assert service.answered == answered > evaluations
    same(run, copy)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in cassette.iterdir())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A short run and its cassette, for reading."""
    folder = tmp_path_factory.mktemp("recorded")
    run, cassette = make_run(folder / "run", seed=2, evaluations=3), folder / "cassette"
    clade("run", run, "--plain", "--record", cassette)
    return run, cassette


def test_a_replay_grows_the_same_tree_without_network_and_keys(unplugged, recorded, tmp_path):
    run, cassette = recorded
    before = {path.name: path.read_bytes() for path in cassette.iterdir()}
    copy = again(run, tmp_path / "copy")
    clade("run", copy, "--plain", "--replay", cassette, before=unplugged)
    told = story(run)
    assert len(evidence(run)) == 3 and len(told["agents"]) > 1 and len(told["calls"]) > 20
    same(run, copy)
    assert {path.name: path.read_bytes() for path in cassette.iterdir()} == before, "a replay only reads"
    statuses = {json.loads(line).get("status") for line in (copy / "ledger.jsonl").read_text().splitlines()}
    assert "replayed" in statuses and "ok" not in statuses, "nothing of it was paid again"


def missed(copy: Path, cassette: Path) -> str:
    """What a replay says in the end that is not the recorded run; nothing of it may count, however often tried."""
    heard = CliRunner().invoke(main, ["run", str(copy), "--plain", "--replay", str(cassette)])
    assert heard.exit_code == 1, heard.output
    assert "Traceback" not in heard.output
    assert evidence(copy) == [] and len(history_of(copy).agents) == 1
    assert {row.reason for row in moves_of(history_of(copy))} <= {INTERRUPTED}
    with Archive.open(copy) as archive:
        assert archive.about["finished"] == "False"
        return archive.about["ending"]


def test_a_changed_run_is_a_miss_that_says_where(recorded, tmp_path):
    run, cassette = recorded
    with Archive.open(run) as archive:
        first, files = archive.decisions()[0], archive.files(0)
    recorded = f"evaluate agent 0 on {first.task}"

    seeded = again(run, tmp_path / "seeded", "seed = 2", "seed = 3")
    for _ in range(2):
        told = missed(seeded, cassette)
        assert told.startswith("the run departs from the recorded one at its decision 0: evaluate agent 0 on ")
        assert f"recorded was decision 0: {recorded}" in told

    home = tmp_path / "agent"
    home.mkdir()
    for path, content in files.items():
        (home / path).write_bytes(content.replace(b"a careful software engineer", b"a hasty software engineer"))
    other = again(run, tmp_path / "other", "workers = 2", f'workers = 2\nagent = "{home}"')
    told = missed(other, cassette)
    assert CALL.match(told), told
    assert f"is not on {cassette}: message 1 of 2 (system) differs from the recorded one:\n" in told
    assert "-You are a careful software engineer." in told and "+You are a hasty software engineer." in told

    shorter = again(run, tmp_path / "shorter", "[budget]", "[models]\nmax_output_tokens = 900\n[budget]")
    told = missed(shorter, cassette)
    assert CALL.match(told), told
    assert "its field 'max_tokens' was " in told and told.endswith(" and is 900")


def landed(cassette: Path) -> int:
    index = cassette / "index.jsonl"
    return index.read_bytes().count(b'"event":"landed"') if index.exists() else 0


def ended_rows(run: Path) -> int:
    try:
        return sum(row.outcome not in (None, "VOID") for row in moves_of(history_of(run)))
    except ArchiveError:  # it is being made
        return 0


def killed(process: subprocess.Popen, moment) -> None:
    """Killed with work under way, as soon as `moment` has come."""
    try:
        while not moment() and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, process.communicate()[0]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def essence(run: Path) -> dict:
    """What is the same however often a run was cut off: its story without the numbers of rows."""
    told = story(run)
    rows = [row for row in (*told["expansions"], *told["evaluations"]) if row["reason"] != INTERRUPTED]
    moves = [{**row, "id": None} for row in sorted(rows, key=lambda row: row["decision"])]
    return {"agents": told["agents"], "files": told["files"], "moves": moves, "calls": told["calls"]}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_while_recording_and_killed_while_replaying_it_is_the_same_run(tmp_path):
    run, cassette = make_run(tmp_path / "run", evaluations=12), tmp_path / "cassette"
    for moves in (2, 7):
        killed(start("run", run, "--plain", "--record", cassette), lambda enough=moves: landed(cassette) >= enough)
    clade("run", run, "--plain", "--record", cassette)
    cut = [row for row in moves_of(history_of(run)) if row.reason == INTERRUPTED]
    assert len(evidence(run)) == 12 and len(cut) >= 2

    copy = again(run, tmp_path / "copy")
    clade("run", copy, "--plain", "--replay", cassette)
    same(run, copy)

    torn = again(run, tmp_path / "torn")
    for moves in (1, 5, 9):
        killed(start("run", torn, "--plain", "--replay", cassette), lambda enough=moves: ended_rows(torn) >= enough)
    clade("run", torn, "--plain", "--replay", cassette)
    assert len(moves_of(history_of(torn))) > len(moves_of(history_of(run)))
    assert essence(torn) == essence(run)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sealed_measurement_is_replayed_from_the_runs_own_cassette_and_not_from_another_split(unplugged, tmp_path):
    run, cassette = make_run(tmp_path / "run", evaluations=3), tmp_path / "cassette"
    copy, stranger = again(run, tmp_path / "copy"), again(run, tmp_path / "stranger")
    clade("run", run, "--plain", "--record", cassette)
    for folder in (copy, stranger):
        clade("run", folder, "--plain", "--replay", cassette)
    sealed = ("0", "--split", "sealed", "--limit", "3")
    out = clade("evaluate", run, *sealed, "--record", cassette)
    assert "agent 0 on sealed: " in out
    told = clade("evaluate", copy, *sealed, "--replay", cassette, before=unplugged)
    assert told.splitlines()[-2:] == out.splitlines()[-2:]
    one, two = story(run), story(copy)
    assert len([row for row in one["evaluations"] if row["split"] == "sealed"]) == 3
    assert one["evaluations"] == two["evaluations"] and one["calls"] == two["calls"]
    later = again(run, tmp_path / "later")
    clade("run", later, "--plain", "--replay", cassette)
    assert len(evidence(later)) == 3, "what a person asked for is no part of the run's own story"

    index = cassette / "index.jsonl"
    as_recorded = index.read_text()
    index.write_text(re.sub(r'"outcome":"[A-Z_]+"(.*\n)\Z', r'"outcome":"TAMPERED"\1', as_recorded))
    assert "TAMPERED" in index.read_text(), "the last thing on record is how the last sealed evaluation ended"
    out = clade("evaluate", later, *sealed, "--replay", cassette, code=1)
    assert "(sealed), attempt 0) is not as it was recorded: recorded was TAMPERED" in " ".join(out.split())
    counted = [row for row in history_of(later).evaluations if row.split == "sealed" and row.outcome != "VOID"]
    assert len(counted) < 3, "the one that is not as it was recorded does not count"
    index.write_text(as_recorded.replace('"split":"sealed"', '"split":"search"'))
    out = clade("evaluate", stranger, *sealed, "--replay", cassette, code=1)
    assert f"is not on {cassette}" in out and "Traceback" not in out
    assert {row.outcome for row in history_of(stranger).evaluations if row.split == "sealed"} <= {"VOID"}
    clade("evaluate", stranger, *sealed, "--replay", cassette, "--share-splits")
    passed = [(row.task, row.outcome) for row in history_of(stranger).evaluations if row.split == "sealed"]
    assert [each for each in passed if each[1] != "VOID"] == [
        (row["task"], row["outcome"]) for row in one["evaluations"] if row["split"] == "sealed"
    ]
