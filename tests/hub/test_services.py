"""What the hub's services are given: the master key is for one of them alone."""

from __future__ import annotations

from pathlib import Path

from llmws.hub.services import services
from llmws.hub.state import State
from llmws.settings import Settings


def test_the_service_alone_gets_the_master_key(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.prepare()
    given = {one["name"]: one.get("environment", {}) for one in services(state, Settings(master_key="k" * 43 + "="))}
    assert given["llmws"]["LLMWS_MASTER_KEY"] == "k" * 43 + "="
    assert {name for name, told in given.items() if "k" * 43 in str(told)} == {"llmws"}


def test_the_service_is_told_where_providers_may_be(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.prepare()
    [service] = [one for one in services(state, Settings(provider_hosts=("10.1.0.0/16",))) if one["name"] == "llmws"]
    assert service["environment"]["LLMWS_PROVIDER_HOSTS"] == "10.1.0.0/16"
