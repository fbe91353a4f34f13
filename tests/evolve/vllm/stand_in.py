"""A small real server that behaves as `vllm serve` does: its arguments, endpoints, metrics, and ways to fail.

Environment: STAND_IN_LOAD seconds of loading; STAND_IN_FAIL text of an error that ends the start; STAND_IN_FAIL_ONCE a
file, whose absence makes the start fail and is then made up for; STAND_IN_STUBBORN ignore SIGTERM; STAND_IN_MUTE answer
completions with 500; STAND_IN_OLD a version without optional arguments; STAND_IN_SLOW seconds that a completion takes.
A running server is told to misbehave by a POST to /misbehave/{exit,hang,sick}.
"""

import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

PARSERS = "{hermes,mistral,openai,qwen3_coder,qwen3_xml}"
HELP = f"""usage: vllm serve [model_tag] [options]
  --served-model-name SERVED_MODEL_NAME [SERVED_MODEL_NAME ...]
  --tool-call-parser {PARSERS} or name registered in --tool-parser-plugin
  --reasoning-parser {{deepseek_r1,qwen3}}
"""
NEW = """  --uds UDS             Unix domain socket path. If set, host and port arguments are ignored.
  --allowed-media-domains ALLOWED_MEDIA_DOMAINS [ALLOWED_MEDIA_DOMAINS ...]
  --shutdown-timeout SHUTDOWN_TIMEOUT
  --disable-access-log-for-endpoints DISABLE_ACCESS_LOG_FOR_ENDPOINTS
"""


class State:
    """What the server is doing."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running = 0
        self.generated = 0
        self.prompt = 0
        self.hits = 0
        self.hanging = False
        self.sick = False


STATE = State()


class Handler(BaseHTTPRequestHandler):
    """Serves what vLLM serves."""

    protocol_version = "HTTP/1.1"
    arguments: ClassVar[dict[str, str]] = {}

    def log_message(self, format: str, *values: object) -> None:
        """Requests are not logged, as is asked of vLLM."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(503 if STATE.sick else 200, b"")
        elif self.path == "/metrics":
            self.answer(200, metrics().encode(), "text/plain; version=0.0.4")
        elif self.path == "/v1/models" and self.allowed():
            card = {"id": self.arguments["--served-model-name"], "object": "model", "max_model_len": 4096}
            self.tell(200, {"object": "list", "data": [card]})
        else:
            self.tell(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.startswith("/misbehave/"):
            self.misbehave(self.path.rpartition("/")[2])
        elif self.path != "/v1/chat/completions":
            self.tell(404, {"detail": "Not Found"})
        elif self.allowed():
            self.complete(json.loads(body))

    def allowed(self) -> bool:
        said = self.headers.get("authorization", "")
        if hmac.compare_digest(said, f"Bearer {os.environ.get('VLLM_API_KEY', '')}"):
            return True
        self.tell(401, {"error": "Unauthorized"})
        return False

    def complete(self, request: dict) -> None:
        if request["model"] != self.arguments["--served-model-name"]:
            self.tell(404, {"error": {"message": f"The model `{request['model']}` does not exist."}})
            return
        if request.get("tools") and "--enable-auto-tool-choice" not in self.arguments:
            self.tell(400, {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice'}})
            return
        if os.environ.get("STAND_IN_MUTE"):
            self.tell(500, {"error": {"message": "the engine is dead"}})
            return
        with STATE.lock:
            STATE.running += 1
        try:
            time.sleep(float(os.environ.get("STAND_IN_SLOW", "0")))
            while STATE.hanging:
                time.sleep(0.05)
            with STATE.lock:
                STATE.generated += 7
                STATE.prompt += 20
                STATE.hits += 16
        finally:
            with STATE.lock:
                STATE.running -= 1
        message = {"role": "assistant", "content": "42"}
        usage = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}
        self.tell(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})

    def misbehave(self, how: str) -> None:
        self.tell(200, {})
        if how == "exit":
            print("RuntimeError: CUDA error: an illegal memory access was encountered", flush=True)
            os._exit(3)
        STATE.sick = STATE.sick or how == "sick"
        STATE.hanging = STATE.hanging or how == "hang"

    def tell(self, status: int, body: dict) -> None:
        self.answer(status, json.dumps(body).encode(), "application/json")

    def answer(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class OnSocket(ThreadingHTTPServer):
    """On a Unix socket."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0


def metrics() -> str:
    """As vLLM writes them."""
    with STATE.lock:
        return f"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="m"}} {STATE.running}.0
vllm:num_requests_waiting{{engine="0",model_name="m"}} 0.0
vllm:num_requests_waiting_by_reason{{engine="0",model_name="m",reason="capacity"}} 0.0
vllm:kv_cache_usage_perc{{engine="0",model_name="m"}} 0.25
vllm:prefix_cache_queries_total{{engine="0",model_name="m"}} {STATE.prompt}.0
vllm:prefix_cache_hits_total{{engine="0",model_name="m"}} {STATE.hits}.0
vllm:external_prefix_cache_queries_total{{engine="0",model_name="m"}} 0.0
vllm:prompt_tokens_total{{engine="0",model_name="m"}} {STATE.prompt}.0
vllm:generation_tokens_total{{engine="0",model_name="m"}} {STATE.generated}.0
"""


def parsed(words: list[str]) -> dict[str, str]:
    """`--flag value` pairs; vLLM refuses what it does not know, and so does this."""
    help_text = HELP + ("" if os.environ.get("STAND_IN_OLD") else NEW)
    others = "--host --port --enable-auto-tool-choice --max-model-len --tensor-parallel-size --seed"
    found: dict[str, str] = {}
    flag = ""
    for word in words:
        if word.startswith("--"):
            flag = word
            if flag not in help_text.split() + others.split():
                sys.exit(f"vllm serve: error: unrecognized arguments: {word}")
            found[flag] = ""
        else:
            found[flag] = word
    return found


def main() -> None:
    words = sys.argv[1:]
    if words[:1] != ["serve"]:
        sys.exit("vllm: error: only `serve` is known here")
    if words[1:] == ["--help=all"]:
        print(HELP + ("" if os.environ.get("STAND_IN_OLD") else NEW))
        return
    Handler.arguments = parsed(words[2:])
    print(f"INFO 11-22 04:00:00 [api_server.py:1] args: {json.dumps(words)}", flush=True)
    print(f"visible devices: {os.environ.get('CUDA_VISIBLE_DEVICES')}", flush=True)
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # as vLLM's EngineCore
    if os.environ.get("STAND_IN_STUBBORN"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: (worker.kill(), os._exit(0)))
    fail_once = Path(os.environ.get("STAND_IN_FAIL_ONCE", "/"))
    if os.environ.get("STAND_IN_FAIL") or not fail_once.exists():
        fail_once.touch()
        print("Traceback (most recent call last):", flush=True)
        print(f"ValueError: {os.environ.get('STAND_IN_FAIL') or 'the weights were not there'}", flush=True)
        print("RuntimeError: Engine core initialization failed. See root cause above.", flush=True)
        worker.kill()
        sys.exit(1)
    end = time.monotonic() + float(os.environ.get("STAND_IN_LOAD", "0"))
    while time.monotonic() < end:
        print("Loading safetensors checkpoint shards: 50% Completed", flush=True)
        time.sleep(0.2)
    if path := Handler.arguments.get("--uds"):
        OnSocket(path, Handler).serve_forever()
    else:
        address = (Handler.arguments["--host"], int(Handler.arguments["--port"]))
        ThreadingHTTPServer(address, Handler).serve_forever()


if __name__ == "__main__":
    main()
