"""What holds for all tests: which of them run in one process, which examples are no tests, what is told at the end."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.tally import TRIED, lines

# Their examples need a service, and run in `tests/client/test_examples.py`.
collect_ignore = [
    f"llmws/client/{name}.py"
    for name in ("assistants", "chats", "client", "jobs", "library", "providers", "sharing", "turns")
]
collect_ignore += [f"llmws/ui/{name}.py" for name in ("chats", "compare", "finetune", "providers")]


class ByServers(LoadFileScheduling):
    """A file in one process, which shares servers, and all that share the one hub."""

    def _split_scope(self, nodeid: str) -> str:
        hub = "tests/hub/"
        return hub if nodeid.startswith(hub) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServers:
    return ByServers(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tried"] = dict(TRIED)


def pytest_testnodedown(node: Any) -> None:
    TRIED.update(getattr(node, "workeroutput", {}).get("tried", {}))  # a process that crashed has told nothing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in lines(TRIED):
        terminalreporter.write_line(line)
