"""What the hub keeps running beside itself: the service, the runner of fine-tunes, and what ends idle servers."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

from jupyterhub.services import service as hub_services
from traitlets import Integer

from ..settings import Settings
from .state import CULLER, SERVICE, TRAINER, State, dropped

IDLE_S, CULL_EVERY_S = 3600, 300
# How programs reach the world from here; nothing else of the hub's environment is for them.
PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "TZ")


class _WatchedService(hub_services._ServiceSpawner):
    """A service that is started again within seconds of its end: JupyterHub itself looks every thirty."""

    poll_interval, term_timeout = Integer(2), Integer(10)


def watch_closely() -> None:
    """Have the hub of this process look often whether its services run."""
    hub_services._ServiceSpawner = _WatchedService


def service_url(state: State) -> str:
    """Where people's servers reach the service: its own port, since the way over the proxy leads to the same place."""
    return f"http://127.0.0.1:{state.ports().service}/services/llmws"


def services(
    state: State, settings: Settings, *, idle_s: float = IDLE_S, cull_every_s: float = CULL_EVERY_S
) -> list[dict[str, Any]]:
    """The hub's services, for its configuration.

    Args:
        idle_s: a person's server ends after so long without activity.
        cull_every_s: how often that is looked at.
    """
    token = state.secret("runner_token")
    culler = [sys.executable, "-P", "-m", "jupyterhub_idle_culler", f"--timeout={idle_s:.0f}"]
    return [
        {
            "name": "llmws",
            "url": f"http://127.0.0.1:{state.ports().service}",
            "command": dropped(SERVICE, [sys.executable, "-P", "-m", "llmws.service"], low_ports=True),
            "cwd": str(state.service),
            "environment": {
                **_environment(replace(settings, data=state.service, run_folders=state.runs), of_service=True),
                "HOME": str(state.service),
                "LLMWS_RUNNER_TOKEN": token,
            },
            "oauth_no_confirm": True,
            "display": False,
        },
        {
            "name": "llmws-runner",
            "command": dropped(TRAINER, [sys.executable, "-P", "-m", "llmws", "runner"]),
            "cwd": str(state.runner),
            "environment": {
                **_environment(replace(settings, data=state.runner, database=None)),
                "HOME": str(state.runner),
                "LLMWS_URL": service_url(state),
                "LLMWS_TOKEN": token,
            },
            "display": False,
        },
        {
            "name": "idle-culler",
            "command": dropped(CULLER, [*culler, f"--cull-every={cull_every_s:.0f}"]),
            "cwd": "/",
            "display": False,
        },
    ]


def _environment(settings: Settings, *, of_service: bool = False) -> dict[str, str]:
    passed_on = {name: value for name, value in {**os.environ}.items() if name.upper() in PASSED_ON}
    return {**passed_on, **settings.to_environment(of_service=of_service), "PYTHONUNBUFFERED": "1"}
