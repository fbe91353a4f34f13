"""python -m agent --request FILE --result FILE --transcript FILE, or python -m agent --selfcheck."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import traceback

if not __package__:  # started as `python FOLDER`: be the package that `python -m` would have made of it
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.path.dirname(folder)
    __package__ = os.path.basename(folder)
    importlib.import_module(__package__)

from . import agent, llm, prompts, selfcheck

PROTOCOL = 1


class Terminated(BaseException):
    """The process was told to end; the result is still written."""


def main():
    parser = argparse.ArgumentParser(prog="agent", description="Solve the problem of a request in its repository.")
    parser.add_argument("--request", metavar="FILE", help="JSON: what to do")
    parser.add_argument("--result", metavar="FILE", help="where to write how it went")
    parser.add_argument("--transcript", metavar="FILE", help="where to write what happened, as JSON lines")
    parser.add_argument("--selfcheck", action="store_true", help="see whether this agent is fit to run, and stop")
    arguments = parser.parse_args()
    if arguments.selfcheck:
        selfcheck.run()
        print("The self-check passed.")
        return 0
    if not (arguments.request and arguments.result and arguments.transcript):
        parser.error("--request, --result and --transcript are needed")
    signal.signal(signal.SIGTERM, terminate)
    with open(arguments.transcript, "w", encoding="utf-8") as transcript:
        result = work(arguments.request, transcript)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write_result(arguments.result, result)
    return 0


def work(request_file, transcript):
    """The result of a run, whatever happens in it."""
    worker, status = None, "error"

    def log(**entry):
        transcript.write(json.dumps(entry) + "\n")
        transcript.flush()

    try:
        with open(request_file, encoding="utf-8") as file:
            request = json.load(file)
        if request["protocol"] != PROTOCOL:
            raise ValueError("this agent speaks protocol %d, not %r" % (PROTOCOL, request["protocol"]))
        worker = agent.Agent(request, log)
        status, ending = worker.run()
    except Terminated:
        ending = prompts.TERMINATED
    except llm.ModelFailedError as error:
        ending = prompts.MODEL_FAILED.format(why=error)
    except Exception as error:  # noqa: BLE001 - whatever it was, the result says so
        log(crash=traceback.format_exc())
        ending = prompts.CRASHED.format(why="%s: %s" % (type(error).__name__, error))
    summary = worker.summary(ending) if worker else ending
    log(result=status, summary=summary)
    return {"status": status, "summary": summary, "steps": worker.steps if worker else 0}


def write_result(path, result):
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.replace(path + ".part", path)


def terminate(signum, frame):
    raise Terminated


if __name__ == "__main__":
    sys.exit(main())
