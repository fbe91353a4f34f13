"""Whether a model service answers at all, found without spending anything: its list of models is asked for."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from evolve.llm import ProviderSettings, redact

SECONDS = 5.0
"""For one answer."""
ANTHROPIC_VERSION = "2023-06-01"


def reach_all(known: Mapping[str, ProviderSettings]) -> dict[str, str]:
    """What came of asking each service that has an address, in a few words, by the services' names."""
    asked = {name: own for name, own in known.items() if own.urls or own.url}
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(asked, pool.map(reach, asked.values()), strict=True))


def reach(own: ProviderSettings) -> str:
    """What came of asking a service's first address."""
    base = (own.urls or (own.url or "",))[0].rstrip("/")
    key = os.environ.get(own.key_env, "").strip() if own.key_env else ""
    if own.kind == "anthropic":
        url = f"{base}/v1/models"
        headers = {"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION} if key else {}
    else:
        url = f"{base}/models"
        headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=SECONDS):
            return "answers"
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (401, 403):
                return "answers, and refuses the key" if key else "answers, and wants a key"
            return f"answers with status {error.code}"
    except (OSError, ValueError) as error:
        return redact(f"does not answer: {getattr(error, 'reason', None) or error}", (key,))
