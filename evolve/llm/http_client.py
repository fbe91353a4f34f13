"""One address of a model service: a JSON body goes out with the key, the answer's JSON or a `ModelError` comes back.

No SDK is used, because their HTTP pool adds several milliseconds under load. What an answer means is its provider's
matter; what an error means is read here, in the shapes that the services write them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from evolve.llm.base import Json, ModelError
from evolve.llm.exchange import NotSentError, Target, Way
from evolve.llm.faults import error_of
from evolve.llm.jsontext import dumps, loads
from evolve.llm.lines import Lines
from evolve.llm.redact import redact
from evolve.llm.remote import Remote

AZURE = re.compile(r"\.azure\.(?:com|us|cn)$")
"""Hosts that want a key in the header `api-key`: as a bearer token they take only tokens of Entra ID."""
ANSWERS = {"chat/completions": ("choices", "a chat completion"), "responses": ("output", "a response")}
"""By path: the list that an answer has and an error has not, and what it is called."""
TITLE = re.compile(r"<title[^>]*>([^<]*)</title>", re.IGNORECASE)


class HttpClient:
    """Posts to one address. Belongs to the event loop that calls it first."""

    def __init__(
        self,
        name: str,
        url: str,
        path: str,
        *,
        key: str | None = None,
        key_env: str | None = None,
        seconds: float = 600.0,
        socket: str | None = None,
    ) -> None:
        """
        Args:
            name: of the service, for messages.
            url: base URL, with the version in it; a query, such as Azure's `?api-version=…`, is kept.
            path: one of `ANSWERS`, appended unless the URL ends with it already.
            key: shown nowhere.
            key_env: name of the environment variable that the key came from, for messages.
            seconds: how long one answer may take.
            socket: Unix socket to connect to, in place of the URL's host.
        """
        self.name = name
        self.url = _address(url, path)
        self._field, self._what = ANSWERS[path]
        self._secrets = (key,) if key else ()
        self._key_env = key_env
        headers = {"content-type": "application/json", **(_key_header(self.url, key) if key else {})}
        self._target = Target(self.url, headers, socket)
        self._seconds = seconds
        self._way: Way | None = None

    async def post(self, body: Json, headers: Mapping[str, str] | None = None) -> Json:
        """The JSON object that the service answers with.

        Raises: `ModelError` when there is no answer, and for an error, whatever status it came with.
        """
        if self._way is None:  # made here because it belongs to the loop that calls
            self._way = self._found()
        try:
            answer = await self._way.post(dumps(body), headers or {}, self._seconds)
        except NotSentError as error:
            raise self.unavailable(redact(str(error), self._secrets)) from error
        except TimeoutError as error:
            raise self.lost(f"no answer within {self._seconds:g} s") from error
        except OSError as error:
            raise self.lost(redact(str(error), self._secrets)) from error
        text = redact(answer.content.decode("utf-8", "replace"), self._secrets)
        return self._read(answer.status, text, answer.headers)

    async def close(self) -> None:
        if self._way is not None:
            await self._way.close()
            self._way = None

    def _found(self) -> Way:
        """The shortest way to the address. Raises: `ModelError` if there is none."""
        try:
            self._target.check()
        except ValueError as error:
            raise ModelError(f"{self.name}: {error}", kind="refused") from error
        proxy = None if self._target.socket else proxy_of(self.url)
        plain = urlsplit(self.url).scheme == "http" and proxy is None
        return Lines(self._target) if plain else Remote(self._target, proxy)

    def unavailable(self, text: str) -> ModelError:
        return ModelError(f"{self.name} is not available: {text}", kind="unavailable")

    def lost(self, text: str) -> ModelError:
        """As `unavailable`, of a request that was sent: it may have been served, and charged."""
        return ModelError(f"{self.name} is not available: {text}", kind="unavailable", lost=True)

    def error(self, status: int, text: str) -> ModelError:
        """The error for one that stands in an answer, with its own status."""
        return error_of(self.name, status, text, {}, self._key_env)

    def _read(self, status: int, text: str, headers: Mapping[str, str]) -> Json:
        try:
            body = loads(text)
        except (ValueError, RecursionError):
            body = None
        if not 200 <= status < 300:
            raise error_of(self.name, status, error_text(body) or _page(text), headers, self._key_env)
        if isinstance(body, dict) and body.get("error") and not body.get(self._field):
            # OpenRouter answers 200 when a service behind it fails, and tells the status in the body.
            status = error_status(body["error"])
            raise error_of(self.name, status, error_text(body) or text, headers, self._key_env)
        if not isinstance(body, dict) or not isinstance(body.get(self._field), list):
            raise self.lost(f"the answer is not {self._what}: {_page(text)[:200]!r}")
        return body


def error_text(body: object) -> str | None:
    """What an error body says, in the shapes that services use.

    `{"error": {"message": …}}` (OpenAI, Azure, OpenRouter, vLLM, llama.cpp, LiteLLM), `{"error": "…"}` (Ollama),
    `{"message": …}` (Azure's front door), `{"detail": …}` (FastAPI), and a list of one of them (Gemini).
    """
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return None
    error = body.get("error") or body
    if isinstance(error, str):
        return error
    if not isinstance(error, dict):
        return None
    said = [error.get(name) for name in ("message", "detail", "code", "type", "param")]
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return " ".join(str(each) for each in (*said, raw) if each) or None


def error_status(error: object) -> int:
    """The status that an error within an answer tells; 502 if it tells none."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    return code if isinstance(code, int) and 400 <= code < 600 else 502


def is_azure(url: str) -> bool:
    """Whether an address is one of Azure's."""
    return bool(AZURE.search(urlsplit(url).hostname or ""))


def is_openai(url: str) -> bool:
    """Whether an address is OpenAI's own, of any region."""
    host = urlsplit(url).hostname or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")


def _address(url: str, path: str) -> str:
    parts = urlsplit(url)
    base = parts.path.rstrip("/")
    # Azure's portal shows the whole address of a deployment, and that is what people copy.
    return urlunsplit(parts._replace(path=base if base.endswith("/" + path) else f"{base}/{path}"))


def _key_header(url: str, key: str) -> dict[str, str]:
    return {"api-key": key} if is_azure(url) else {"authorization": f"Bearer {key}"}


def _page(text: str) -> str:
    """A web page's title, which says what a proxy in between has to say; other text as it is."""
    title = TITLE.search(text[:10_000]) if text.lstrip()[:1] == "<" else None
    return f"a web page titled {title[1].strip()!r}" if title else text


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for an address (http_proxy, https_proxy, no_proxy).

    aiohttp's own `trust_env` would also send credentials that it finds in ~/.netrc.
    """
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)
