"""One small tool-calling exchange with a model, as an agent would have it: over a session's socket, metered and capped.

The model is asked for a number that a tool prints. It must call the tool with arguments that are JSON, and then say the
number that it was told: what every step of every agent needs.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evolve.llm import Caps, Gateway, Json, Ledger, Model, ModelError, Retry, Role, Scope, Session, total
from evolve.llm.ledger import Worst

MAX_TOKENS = 2048
"""Of one answer: enough to think a little before a call."""
CALLS = 4
"""Two answers, and for each the one repair that the gateway may ask for."""
PROMPT_TOKENS = 2000
"""Of one call at most: the messages below, the tool's schema, and what the plain-text protocol adds."""
SECONDS = 120.0
"""For one answer, retries included."""
FILE = "number.txt"
TOOL: Json = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Run a command in a shell and get what it prints.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string", "description": "The command to run."}},
            "required": ["command"],
        },
    },
}
ASK = (
    f"The file {FILE} holds a number that only the tool can show you. Print the file with one command "
    f"(cat {FILE}), then answer with that number."
)


@dataclass(frozen=True, slots=True)
class Result:
    """How the exchange with one role's model went."""

    role: str
    model: str
    protocol: str
    problem: str
    """What went wrong and what to do, in one sentence; empty if all is well."""
    seconds: tuple[float, ...] = ()
    """Of each call."""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    usd: float = 0.0
    events: Mapping[str, int] = field(default_factory=dict)
    """What the dialect had to mend."""


class Trouble(Exception):  # noqa: N818 - the finding of a test, told in a result
    """Why a model cannot serve a role, with the cure, in one sentence."""


def worst_usd(model: Model) -> float:
    """What the exchange may cost at most, in dollars for tokens."""
    return CALLS * Worst.of(model.price, PROMPT_TOKENS, min(MAX_TOKENS, model.max_output_tokens)).usd


def converse(role: Role, model: Model, folder: Path) -> Result:
    """Have the exchange; what goes wrong is in the result. `folder` gets the socket's directory."""
    caps = Caps(usd=worst_usd(model), calls=CALLS)
    with Ledger(None, caps) as ledger:
        with Gateway({role: model}, ledger, folder=folder, retry=Retry(attempts=3, deadline=SECONDS)) as gateway:
            thought: list[int] = []
            with gateway.session(Scope(f"test-{role}"), log=None, caps=caps) as session:
                try:
                    _exchange(role, model, session, thought)
                    problem = ""
                except Trouble as error:
                    problem = str(error)
            bill = total(session.bill)
        return Result(
            role,
            model.label,
            model.protocol,
            problem,
            tuple(call.seconds for call in session.bill),
            bill.input_tokens,
            bill.cached_tokens,
            bill.output_tokens,
            sum(thought),
            bill.usd,
            dict(ledger.spent().events.get(model.label, {})),
        )


def _exchange(role: Role, model: Model, session: Session, thought: list[int]) -> None:
    """Raises: `Trouble`."""
    number = str(secrets.randbelow(900_000) + 100_000)
    messages: list[Json] = [{"role": "user", "content": ASK}]
    first = _message(role, messages, session.socket, thought)
    calls = first.get("tool_calls") or []
    if not calls:
        raise Trouble(f"it answered without calling the tool that it was offered; {_other_protocol(model)}")
    for call in calls:
        if not _is_command(call["function"]["arguments"]):
            raise Trouble(
                f"the arguments of its tool call do not fit the tool ({call['function']['arguments'][:80]!r}); "
                f"{_other_protocol(model)}"
            )
    results = [{"role": "tool", "tool_call_id": call["id"], "content": f"{number}\n"} for call in calls]
    kept = {name: value for name, value in first.items() if value is not None}
    second = _message(role, [*messages, kept, *results], session.socket, thought)
    if model.provider.name == "offline":
        return  # it is no language model: it goes on to look for something to repair
    said = (second.get("content") or "").replace(",", "").replace("\u202f", "")
    if number not in said:
        raise Trouble(
            f"it did not say the number that the tool printed: it does not read results of tools; "
            f"{_other_protocol(model)}"
        )


def _message(role: str, messages: list[Json], path: Path, thought: list[int]) -> Json:
    """The model's answer. Raises: `Trouble`."""
    body = {"model": role, "messages": messages, "tools": [TOOL], "max_tokens": MAX_TOKENS}
    status, answer = _post(path, body)
    if status != 200:
        raise Trouble(f"the call failed: {answer['error']['message']}")
    details = (answer.get("usage") or {}).get("completion_tokens_details") or {}
    thought.append(int(details.get("reasoning_tokens") or 0))
    choice = answer["choices"][0]
    message: Json = choice["message"]
    if choice["finish_reason"] == "length":
        raise Trouble(
            f"{MAX_TOKENS} tokens were not enough for it to call one tool: let it think less (reasoning_effort in "
            "models.parameters), or choose another model"
        )
    return message


def _is_command(arguments: str) -> bool:
    try:
        read = json.loads(arguments)
    except ValueError:
        return False
    return isinstance(read, dict) and isinstance(read.get("command"), str)


def _other_protocol(model: Model) -> str:
    service, _, name = model.label.partition(":")
    if model.protocol == "fenced":
        return "the plain-text protocol is in use already, so choose another model"
    return (
        "start its server with the tool-call parser of this model, or set "
        f'[providers.{service}.models.{name!r}] protocol = "fenced"'
    )


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("gateway", timeout=SECONDS + 30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _post(path: Path, body: Json) -> tuple[int, Json]:
    """Raises: `ModelError` if our own gateway does not answer."""
    connection = _Connection(path)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        answer: Json = json.loads(response.read())
        return response.status, answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ModelError(f"the gateway did not answer: {error}", kind="unavailable") from None
    finally:
        connection.close()
