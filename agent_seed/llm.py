"""One model call: chat completions over HTTP on the Unix socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time

TRIES = 3  # for a connection that breaks, or an answer that is not one
PAUSE_SECONDS = 1.0  # before trying again


class BudgetSpentError(Exception):
    """The budget is spent; no later call will be answered."""


class ContextTooLongError(Exception):
    """The messages are too long for the model; shorter ones will be answered."""


class ModelFailedError(Exception):
    """The call was refused, or there is no answer to be had."""


class Connection(http.client.HTTPConnection):
    """HTTP over the socket named in CLADE_SOCKET."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.environ["CLADE_SOCKET"])


def complete(body, seconds):
    """Send one request; return the answer's message and its finish reason.

    Raises: BudgetSpentError, ContextTooLongError, ModelFailedError.
    """
    deadline = time.monotonic() + seconds
    for left in reversed(range(TRIES)):
        try:
            status, text = post(body, deadline - time.monotonic())
            if status < 500:
                return read(status, text)
            why = "status %d: %s" % (status, text[:300])
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = "%s: %s" % (type(error).__name__, error)
        if not left or time.monotonic() + PAUSE_SECONDS >= deadline:
            break
        time.sleep(PAUSE_SECONDS)
    raise ModelFailedError(why)


def post(body, seconds):
    connection = Connection("localhost", timeout=max(seconds, 0.1))
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


def read(status, text):
    """The message and the finish reason of an answer. Raises ValueError where the text is not what was agreed on."""
    if status == 402:
        raise BudgetSpentError(text)
    if status != 200:
        if "context_length_exceeded" in text:
            raise ContextTooLongError(text)
        raise ModelFailedError("status %d: %s" % (status, text[:300]))
    try:
        choice = json.loads(text)["choices"][0]
        message = choice["message"]
        return {"content": message.get("content"), "tool_calls": message.get("tool_calls")}, choice.get("finish_reason")
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError("the answer is not a chat completion: %r" % error) from error
