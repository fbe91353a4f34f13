"""Replicas as containers of an image with vLLM: labelled, published on the loopback alone, each on its own GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions

from evolve.vllm import logs
from evolve.vllm.engine import Started
from evolve.vllm.plan import Plan, arguments, environment
from evolve.vllm.registry import FleetError, Handle

LABEL = "clade.vllm.fleet"
"""Holds the fleet's folder: what carries it was started for this fleet and no other."""
PORT = 8000
TIMEOUT = 120
CACHE = "clade-vllm-cache"
"""Volume for what vLLM compiles, so that a second start is faster."""
PASSED_ON = ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "HTTPS_PROXY")
"""Variables of the user's that a container gets too: they say how weights are downloaded."""
WEIGHTS, COMPILED = "/weights", "/compiled"
"""Where a container finds the user's downloaded weights, and the volume."""
_KEPT = 2000  # lines of a container's log that outlive it


class Containers:
    """An `Engine` of containers of the local Docker engine. Raises: `FleetError` if it does not answer."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._folder = plan.folder
        with _our_errors("answer"):
            self._client = docker.DockerClient.from_env(timeout=TIMEOUT)
            self._client.ping()

    def check(self) -> str:
        """See `Engine.check`. In a container without GPUs, which some versions refuse: then nothing is known."""
        image = self._plan.program
        with _our_errors(f"fetch {image}"):
            try:
                self._client.images.get(image)
            except docker.errors.ImageNotFound:
                self._client.images.pull(image)
        with _our_errors(f"run {image}"):
            try:
                told: bytes = self._client.containers.run(
                    image, ["serve", "--help=all"], entrypoint=["vllm"], remove=True, network_mode="none"
                )
            except docker.errors.ContainerError:
                return ""
        return told.decode("utf-8", "replace")

    def start(self, index: int, key: str) -> Started:
        """See `Engine.start`."""
        plan = self._plan
        with _our_errors("start a replica"):
            container = self._client.containers.create(
                plan.program,
                arguments(plan, index, ("--host", "0.0.0.0", "--port", str(PORT))),
                entrypoint=["vllm", "serve"],
                labels={LABEL: str(self._folder), "clade.vllm.replica": str(index)},
                environment=self._environment(key),
                ports={f"{PORT}/tcp": ("127.0.0.1", None)},
                volumes=self._volumes(),
                ipc_mode="host",  # the workers of a group of GPUs share memory
                init=True,
                security_opt=["no-new-privileges"],
                log_config=docker.types.LogConfig(type="json-file", config={"max-size": "16m", "max-file": "2"}),
                device_requests=self._devices(index),
            )
            try:
                container.start()
                container.reload()
                port = container.ports[f"{PORT}/tcp"][0]["HostPort"]
            except BaseException as error:
                self._forget(container)
                if isinstance(error, KeyError | IndexError | TypeError):  # it has ended already and has no port
                    raise FleetError("the container ended as soon as it was started") from error
                raise
        return Started(Handle(container=container.id), f"http://127.0.0.1:{port}")

    def ended(self, handle: Handle) -> str | None:
        """See `Engine.ended`."""
        container = self._find(handle)
        if container is None:
            return "was removed"
        state = container.attrs["State"]
        if state["Running"]:
            return None
        return "ran out of memory" if state.get("OOMKilled") else f"exited with {state['ExitCode']}"

    def terminate(self, handle: Handle) -> None:
        """See `Engine.terminate`."""
        container = self._find(handle)
        if container is not None and container.attrs["State"]["Running"]:
            with _our_errors("end a replica"):
                try:
                    container.kill("SIGTERM")
                except docker.errors.APIError as error:
                    if error.status_code not in (404, 409):  # it has just ended
                        raise

    def kill(self, handle: Handle) -> None:
        """See `Engine.kill`."""
        container = self._find(handle)
        if container is not None:
            self._forget(container)

    def tail(self, index: int, handle: Handle | None, lines: int) -> list[str]:
        """See `Engine.tail`."""
        container = None if handle is None else self._find(handle)
        told = [] if container is None else [_marked(container), *self._told(container, lines - 1)]
        return logs.tail(self._log(index), lines - len(told)) + told if len(told) < lines else told

    def strays(self) -> list[Handle]:
        """See `Engine.strays`."""
        with _our_errors("list replicas"):
            found = self._client.containers.list(
                all=True, filters={"label": f"{LABEL}={self._folder}"}, ignore_removed=True
            )
        return [Handle(container=container.id) for container in found]

    def close(self) -> None:
        self._client.close()

    def _find(self, handle: Handle) -> Any:
        """The container if it is there and ours, else None."""
        with _our_errors("look for a replica"):
            try:
                container = self._client.containers.get(handle.container)
            except docker.errors.NotFound:
                return None
        return container if container.labels.get(LABEL) == str(self._folder) else None

    def _forget(self, container: Any) -> None:
        """Remove it, running or not, and keep the end of its log."""
        index = container.labels.get("clade.vllm.replica", "0")
        log = self._log(int(index))
        try:
            told = "\n".join([_marked(container), *self._told(container, _KEPT)])
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(told + "\n")
            logs.rotate(log)
        finally:
            with _our_errors("remove a replica"):
                try:
                    container.remove(force=True, v=True)
                except docker.errors.APIError as error:
                    if error.status_code not in (404, 409):  # gone, or just going
                        raise

    def _told(self, container: Any, lines: int) -> list[str]:
        with _our_errors("show a replica's log"):
            try:
                told: bytes = container.logs(tail=lines)
            except docker.errors.NotFound:
                return []
        return told.decode("utf-8", "replace").replace("\r", "\n").splitlines()[-lines:]

    def _log(self, index: int) -> Path:
        return self._folder / f"replica-{index}.log"

    def _environment(self, key: str) -> dict[str, str]:
        own = {name: value for name in PASSED_ON if (value := os.environ.get(name))}
        own |= {name: value for name, value in os.environ.items() if name.startswith("VLLM_")}
        return own | {"HF_HOME": WEIGHTS, "VLLM_CACHE_ROOT": COMPILED} | environment(self._plan, key)

    def _volumes(self) -> dict[str, dict[str, str]]:
        """The user's downloaded weights, what vLLM compiles, and a model that is a folder of this machine."""
        weights = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
        weights.mkdir(parents=True, exist_ok=True)
        volumes = {
            str(weights.resolve()): {"bind": WEIGHTS, "mode": "rw"},
            CACHE: {"bind": COMPILED, "mode": "rw"},
        }
        if self._plan.model.startswith("/"):
            volumes[self._plan.model] = {"bind": self._plan.model, "mode": "ro"}
        return volumes

    def _devices(self, index: int) -> list[docker.types.DeviceRequest]:
        group = self._plan.group(index)
        if not group:
            return []
        return [docker.types.DeviceRequest(device_ids=[str(gpu) for gpu in group], capabilities=[["gpu"]])]


def _marked(container: Any) -> str:
    return f"{logs.MARK}container {container.short_id}"


@contextmanager
def _our_errors(what: str) -> Iterator[None]:
    """Raises: `FleetError` in place of the SDK's errors."""
    try:
        yield
    except docker.errors.APIError as error:
        raise FleetError(f"the container engine could not {what}: {error.explanation or error}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise FleetError(f"no answer from the container engine ({error}); start it, or use --engine process") from error
