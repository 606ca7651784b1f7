"""The routes are what their description says, whatever is sent to them: schemathesis makes up requests from it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from .harness import Running

# What ends the service, what never ends by itself, and what waits for work.
LEFT_OUT = {"/api/shutdown", "/api/presence", "/api/runner/claim"}
EACH = 20
# That it is of the right shape does not make it acceptable: a name may be nobody's. And 503 is an answer that we name.
EXCLUDED = [positive_data_acceptance, not_a_server_error]


@pytest.fixture
def known(service: Running) -> dict[str, str]:
    """Ids of what there is, by the begin of the path that they are for."""
    chat = service.new_chat()["id"]
    generation = service.send(chat, "Hello")["generation"]["id"]
    service.message(generation)
    limit = service.post("/api/limits", {"kind": "everyone", "unit": "tokens", "period": "day", "hard": 10**9})["id"]
    provider = service.post("/api/providers", {"vendor": "vllm", "base_url": "http://127.0.0.1:9/v1"})["id"]
    assistant = service.post("/api/assistants", {"name": "Poet", "model": "echo"})["id"]
    return {
        "/api/assistants/": assistant,
        "/api/chats/": chat,
        "/api/generations/": generation,
        "/api/limits/": limit,
        "/api/providers/": provider,
        "/v1/models/": "echo",
    }


def aimed(case: Any, known: dict[str, str], turn: int) -> Any:
    """`case`, every second time at what there is: what is made up is nowhere, and would try nothing but that."""
    if turn % 2:
        for begin, known_id in known.items():
            if case.operation.path.startswith(f"{begin}{{id}}"):
                case.path_parameters["id"] = known_id
        if isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = "echo"
    return case


def operations(service: Running) -> Iterator[Any]:
    schema = schemathesis.openapi.from_dict(service.get("/openapi.json"))
    for found in schema.get_all_operations():
        if found.ok().path not in LEFT_OUT:
            yield found.ok()


@pytest.mark.long
def test_every_answer_is_as_described(
    service: Running, known: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    headers = {"Authorization": f"Bearer {service.instance.token}"}
    statuses: Counter[int] = Counter()

    def attempt(operation: Any) -> None:
        @given(case=operation.as_strategy())
        @settings(
            max_examples=EACH,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def run(case: Any) -> None:
            case = aimed(case, known, sum(statuses.values()))
            response = case.call(base_url=service.instance.url, headers=headers, timeout=30)
            statuses[response.status_code] += 1
            case.validate_response(response, excluded_checks=EXCLUDED)
            is_gateway = operation.path.startswith("/v1/")
            assert response.status_code < 500 or response.status_code == 503 or is_gateway, response.text

        run()

    tried = 0
    for operation in operations(service):
        attempt(operation)
        tried += 1
    assert tried > 60
    assert statuses[200] > 100
    assert statuses[500] == 0
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
