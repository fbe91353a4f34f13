"""The seed agent as it is really run: copied elsewhere, started as a program, with an HTTP server on its socket."""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

SEED = Path(__file__).parents[2] / "agent_seed"


@dataclass
class Run:
    """What a run of the agent left behind."""

    exit_code: int
    stderr: str
    result: dict[str, Any] | None
    transcript: list[dict[str, Any]]
    requests: list[dict[str, Any]]

    @property
    def observations(self) -> list[str]:
        messages = self.requests[-1]["messages"]
        return [message["content"] for message in messages if message["role"] == "tool"]


def answer(
    *calls: tuple[str, object], content: str | None = "", finish: str = "stop", **extra: object
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {
                "id": f"c{i}",
                "type": "function",
                "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
            }
            for i, (name, given) in enumerate(calls)
        ]
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": {}}


Reply = dict[str, Any] | tuple[int, object] | str
"""An answer's body; a status with a body; or `drop`, `garbage`."""


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server: Any = self.server
        server.requests.append(json.loads(json.dumps(body)))
        replies = server.replies
        reply = replies(body) if callable(replies) else replies.pop(0) if len(replies) > 1 else replies[0]
        if reply == "drop":
            self.connection.close()
            return
        status, content = reply if isinstance(reply, tuple) else (200, reply)
        data = b"<html>not json" if content == "garbage" else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a connection dropped on purpose


@dataclass
class Desk:
    """A folder with a copy of the agent, a repository, and a model's server on a socket."""

    folder: Path
    replies: Any = field(default_factory=list)
    python: str = sys.executable

    @property
    def repository(self) -> Path:
        return self.folder / "work"

    def answer(self, *calls: tuple[str, object], content: str | None = "", finish: str = "stop") -> dict[str, Any]:
        """A chat completion with tool calls (name, arguments; a string goes out as it is)."""
        return answer(*calls, content=content, finish=finish)

    def bash(self, command: str) -> dict[str, Any]:
        return answer(("bash", {"command": command}))

    @property
    def done(self) -> dict[str, Any]:
        return answer(content="I changed it.")

    def start(self, server: _Server, request: dict[str, Any]) -> subprocess.Popen[str]:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        (self.folder / "request.json").write_text(json.dumps(request))
        paths = [f"--{name}={self.folder / name}.json" for name in ("request", "result", "transcript")]
        return subprocess.Popen(
            [self.python, "-m", "agent", *paths],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "CLADE_SOCKET": str(server.server_address), "HOME": str(self.folder)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        *replies: Reply,
        model: Callable[[dict[str, Any]], Reply] | None = None,
        while_running: Callable[[subprocess.Popen[str]], None] | None = None,
        **more: Any,
    ) -> Run:
        """Run the agent to its end; the last of the replies is given again and again."""
        request = {"protocol": 1, "problem": "Mend it.", "repository": str(self.repository), "test_command": None}
        request |= {"seconds": 30, "role": "solve", **more}
        with _Server(str(self.folder / "socket"), _Handler) as server:
            extra: Any = server
            extra.replies, extra.requests = model or list(replies), []
            agent = self.start(server, request)
            if while_running:
                while_running(agent)
            _, stderr = agent.communicate(timeout=60)
            server.shutdown()
            requests = extra.requests
        result, transcript = self.folder / "result.json", self.folder / "transcript.json"
        return Run(
            agent.returncode,
            stderr,
            json.loads(result.read_text()) if result.exists() else None,
            [json.loads(line) for line in transcript.read_text().splitlines()],
            requests,
        )

    def set(self, file: str, old: str, new: str) -> None:
        """Change the agent's source, as evolution does."""
        path = self.folder / "agent" / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} is not once in {file}"
        path.write_text(text.replace(old, new))


def copy_seed(target: Path) -> Path:
    return Path(shutil.copytree(SEED, target, ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def desk() -> Iterator[Desk]:
    with tempfile.TemporaryDirectory() as name:  # short, for a socket's path has at most 107 bytes
        folder = Path(name)
        (folder / "work").mkdir()
        copy_seed(folder / "agent")
        yield Desk(folder)


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Any]:
    """The agent's tools as a module, imported from a copy."""
    package = f"seed_{tmp_path.name.replace('-', '_')}"
    copy_seed(tmp_path / package)
    sys.path.insert(0, str(tmp_path))
    try:
        yield __import__(f"{package}.tools", fromlist=["tools"])
    finally:
        sys.path.remove(str(tmp_path))
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            del sys.modules[name]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder
