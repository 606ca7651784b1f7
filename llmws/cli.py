"""The command line: `llmws up`, `demo`, `service`, `status`, `stop`, `keys`, `doctor`, …

Each command imports what it needs when it runs, so that `llmws --help` is quick and a broken part does not break the
doctor. An error is a line and its remedy on stderr; ``--debug`` shows where it came from.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .errors import Error, MissingTool, ServiceError, SettingsError
from .instance import Instance, held, is_held, report, running
from .settings import Settings
from .terminal import clock, painted, row, size

NOT_RUNNING = 3
_GRACE_S, _ANSWER_LIMIT_S = 10.0, 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, 1 after an error, 2 for a wrong command line."""
    parsed = _parser().parse_args(arguments)
    try:
        return parsed.run(parsed)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader (`llmws status | head -1`) has enough; Python would complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Error as problem:
        if parsed.debug:
            raise
        print(report(problem), file=sys.stderr)
        return 1
    except Exception as problem:
        if parsed.debug:
            raise
        unforeseen = Error(
            f"Something went wrong that nobody foresaw ({type(problem).__name__}: {problem}).",
            remedy="Run it again with --debug, and send what it prints with the output of `llmws doctor`.",
        )
        print(report(unforeseen), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llmws",
        description="A notebook-centric workspace for large language models.",
        epilog="Exit codes: 0, 1 after an error, 2 for a wrong command line; `status` 3 while no service runs.",
    )
    parser.add_argument("--version", action="version", version=f"llmws {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    commands = parser.add_subparsers(metavar="command", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        # SUPPRESS: else the command's default would overwrite an earlier --debug.
        added.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        added.set_defaults(run=run)
        return added

    up = command("up", _up, "start the service, wait for the model, open JupyterLab; Ctrl-C ends Lab")
    up.add_argument("--no-lab", action="store_true", help="only the service, kept until Ctrl-C")
    up.add_argument("--port", type=_port, default=8888, help="JupyterLab's port (default: 8888, or the next free one)")
    up.add_argument("--train-env", action="store_true", help="install the training environment meanwhile")
    demo = command("demo", _demo, "do the main job: chat, compare, fine-tune, serve, ask again; 0 if it was learned")
    demo.add_argument("--json", type=Path, metavar="FILE", help="write all of it there, also when something fails")
    demo.add_argument("--steps", type=_count, help="of the fine-tune (default: 40)")
    command("train-env", _train_env, "install the training environment now, and wait for it")
    command("service", _service, "be the service, in the foreground")
    runner = command("runner", _runner, "carry out fine-tunes on this host, for the service at LLMWS_URL")
    runner.add_argument("--name", help="what the service calls it (default: this host's name)")
    status = command("status", _status, "tell service, models, jobs, training environment, disk")
    status.add_argument("--json", action="store_true", help="the same as data")
    hub = command("hub", _hub, "be a hub for a team: sign-in, a server for each person, one service; needs llmws[hub]")
    hub.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine alone)")
    hub.add_argument("--port", type=_port, help="instead of LLMWS_HUB_PORT")
    database = command("db", _upgrade_database, "bring a database server's tables up to date")
    database.add_argument("what", choices=["upgrade"], help="the service must not run meanwhile")
    keys = command("keys", _keys, "tell which master keys encrypt the providers' keys, or make a new one")
    keys.add_argument(
        "what", choices=["status", "rotate"], help="`rotate` encrypts all of them anew; run it again at will"
    )
    keys.add_argument("--json", action="store_true", help="the same as data")
    command("stop", _stop, "end the service; answers are interrupted and kept, fine-tunes go on")
    doctor = command("doctor", _doctor, "tell what is installed, found, running, reachable; holds no secret")
    doctor.add_argument("--json", action="store_true", help="the same as data")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _up(arguments: argparse.Namespace) -> int:
    from .up import up

    settings = Settings.from_environment()
    installing = arguments.train_env and _install(settings)
    up(settings, lab=not arguments.no_lab, port=arguments.port, installing=installing)
    return 0


def _install(settings: Settings) -> bool:
    """Install the training environment in the background; False where it is there, or none is needed."""
    from .training import environment

    if settings.training_command is not None or environment.status(settings).state == "ready":
        return False
    environment.install_in_background(settings)
    return True


def _demo(arguments: argparse.Namespace) -> int:
    from .demo import STEPS, demo

    return demo(arguments.steps or STEPS, arguments.json)


def _train_env(arguments: argparse.Namespace) -> int:
    from .training.environment import main as make

    return make(["install"])


def _runner(arguments: argparse.Namespace) -> int:
    from .training.runner import main as run

    return run(["--name", arguments.name] if arguments.name else [])


def _service(arguments: argparse.Namespace) -> int:
    from .service.__main__ import main as serve

    return serve()


def _hub(arguments: argparse.Namespace) -> int:
    try:
        from .hub.command import run
    except ModuleNotFoundError as missing:
        raise MissingTool(f"The package {missing.name} is missing.", remedy="Install llmws[hub].") from None

    return run(Settings.from_environment(), host=arguments.host, port=arguments.port)


def _upgrade_database(arguments: argparse.Namespace) -> int:
    from .store import upgrade

    upgrade(Settings.from_environment().database_url)
    return 0


def _keys(arguments: argparse.Namespace) -> int:
    settings = Settings.from_environment()
    told = asyncio.run(_ask_for_keys(settings, arguments.what))
    if arguments.json:
        print(json.dumps(told, indent=1))
    else:
        _show_keys(told)
    return 0 if all(key["here"] for key in told["items"]) else 1


async def _ask_for_keys(settings: Settings, what: str) -> dict[str, Any]:
    """Through the service where one runs, else on what it left."""
    from .client.api import Api
    from .client.finding import finder_for
    from .service.master_keys import without_service

    if not settings.url and not is_held(settings.data):
        return await without_service(settings, what)
    finder = finder_for(settings)
    api = Api(finder, await finder.address(start="never"))
    try:
        return await (api.rotate_master_keys() if what == "rotate" else api.master_keys())
    finally:
        await api.aclose()


def _show_keys(told: dict[str, Any]) -> None:
    place = "the setting LLMWS_MASTER_KEY" if told["configured"] else told["file"]
    row("master keys", place if told["items"] else f"none yet; the first key of a provider makes {place}")
    for key in told["items"]:
        use = f"{key['id']} encrypts {key['keys']} key{'' if key['keys'] == 1 else 's'}"
        row("", use + (", and new ones" if key["current"] else "" if key["here"] else ": it is missing"))
    if "reencrypted" in told:
        row("encrypted", f"{told['reencrypted']} anew, {told['unreadable']} that could not be read stay as they are")
        for key in told["forgotten"]:
            row("forgotten", f"{key}: a backup of the database from before needs it")


def _doctor(arguments: argparse.Namespace) -> int:
    from .doctor import examine, show

    findings = examine()
    if arguments.json:
        print(json.dumps([finding.to_dict() for finding in findings], indent=1))
    else:
        show(findings)
    return 1 if any(finding.state == "bad" for finding in findings) else 0


def _status(arguments: argparse.Namespace) -> int:
    from .client.look import look

    told = asyncio.run(look(Settings.from_environment()))
    if arguments.json:
        print(json.dumps(told, indent=1))
    else:
        _show(told)
    return 0 if told["state"] == "running" else NOT_RUNNING


def _show(told: dict[str, Any]) -> None:
    from .up import training_line

    if told["state"] != "running":
        row("service", told["state"] if told["state"] == "starting" else "not running (llmws up starts it)", "poor")
        row("data", told["data"])
        return
    service, clients = told["service"], told.get("clients", 0)
    row("service", f"{service['url']}, llmws {service['version']}, since {clock(service['started_at'])}")
    row("", f"process {service['pid']}, {clients} client{'' if clients == 1 else 's'}, data in {service['data']}")
    first_token_s = (told.get("embedded") or {}).get("first_token_s")
    for at, model in enumerate(told["models"]):
        figures = f", first token {first_token_s:.1f} s" if model["provider"] == "embedded" and first_token_s else ""
        reason = f": {model['reason']}" if model["reason"] else ""
        colour = {"ready": "good", "starting": "poor"}.get(model["state"], "bad")
        state = painted(model["state"], colour, sys.stdout)
        row("" if at else "models", f"{model['id']}, {state}{figures}{reason}")
    running_now = ", ".join(f"{count} {noun}" for noun, count in told["running"].items())
    row("running", running_now or "nothing")
    row("training", training_line(told))
    row("disk", f"{size(told['disk']['free_bytes'])} free of {size(told['disk']['total_bytes'])}")


def _stop(arguments: argparse.Namespace) -> int:
    settings = Settings.from_environment()
    if settings.url:
        raise SettingsError(
            "LLMWS_URL names a service that is not this folder's own.",
            remedy="Unset it to stop the one of this account.",
        )
    if not is_held(settings.data):
        row("service", "not running")
        return 0
    asyncio.run(_end(settings))
    row("service", "stopped")
    return 0


async def _end(settings: Settings) -> None:
    """Ask the service to end, then tell it, then make it; each with some time to comply."""
    from .client.finding import gone

    data = settings.data
    found = running(data)
    if found is not None and await _asked_to_end(found) and await gone(data, _GRACE_S):
        return
    problem = held(data)
    process = problem.details["pid"]
    if problem.details["host"] != socket.gethostname() or not isinstance(process, int):
        raise problem
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # it went in this moment
            os.kill(process, number)
        if await gone(data, _GRACE_S):
            return
    raise ServiceError(f"The service (process {process}) does not end.", remedy=f"See {data / 'service.log'}.")


async def _asked_to_end(found: Instance) -> bool:
    from . import http

    headers = {"Authorization": f"Bearer {found.token}"}
    try:
        async with http.new_client(found.url, headers=headers, proxies=False, idle_s=_ANSWER_LIMIT_S) as client:
            return (await client.post("/api/shutdown")).is_success
    except http.HTTPError:
        return False
