"""A cell in a real kernel: it streams, can be stopped, and is recorded with its notebook and id."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from llmws.store import Store, usage
from tests.service.harness import Running, wait_for

NOTEBOOK = "/home/ada/Übung 天空.ipynb"
LIMIT_S = 60.0

Kernel = tuple[KernelManager, BlockingKernelClient]


@pytest.fixture
def kernel(service: Running) -> Iterator[Kernel]:
    environment = {
        **os.environ,
        "LLMWS_URL": service.instance.url,
        "LLMWS_TOKEN": service.instance.token,
        "JPY_SESSION_NAME": NOTEBOOK,
    }
    manager, client = start_new_kernel(env=environment)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def _send(kernel: Kernel, code: str) -> str:
    """Run a cell as JupyterLab does, with the cell's id in the metadata; the id of the request."""
    _, client = kernel
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = client.session.msg("execute_request", content, metadata={"cellId": "cell-7"})
    client.shell_channel.send(message)
    return str(message["header"]["msg_id"])


def _outputs(kernel: Kernel, request: str) -> Iterator[dict[str, Any]]:
    while True:
        message = kernel[1].get_iopub_msg(timeout=LIMIT_S)
        if message["parent_header"].get("msg_id") != request:
            continue
        yield message
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return


def test_a_cell_streams_and_is_recorded(kernel: Kernel, service: Running) -> None:
    asked = _send(kernel, "import llmws\nllmws.connect().chat('Why is the sky blue?', model='echo');")
    written = [m["content"]["text"] for m in _outputs(kernel, asked) if m["msg_type"] == "stream"]
    assert "".join(written) == "Why is the sky blue?\n"
    status = service.get("/api/status")["service"]
    store = Store.open(f"sqlite:///{Path(status['data']) / 'llmws.db'}")
    rows, _ = asyncio.run(store.read(usage.page, status["account"], 100, None))
    store.close()
    assert [(row.notebook, row.cell) for row in rows] == [(NOTEBOOK, "cell-7")]


def test_the_stop_button_ends_cell_and_answer(kernel: Kernel, service: Running) -> None:
    asked = _send(
        kernel,
        "import llmws\n"
        "chat = llmws.connect().chats.create(model='echo', title='Talk')\n"
        "chat.send('Talk', extra={'tokens': ['word '], 'count': 1_000_000, 'delay_s': 0.01})",
    )
    errors, pressed = [], False
    for message in _outputs(kernel, asked):
        # Once: a second one would break into what IPython says of the first.
        if message["msg_type"] == "stream" and "word" in message["content"]["text"] and not pressed:
            pressed = True
            kernel[0].interrupt_kernel()
        if message["msg_type"] == "error":
            errors.append(message["content"]["ename"])
    assert errors == ["KeyboardInterrupt"]
    chat = service.get("/api/chats")["items"][0]
    wait_for(lambda: service.get(f"/api/chats/{chat['id']}")["running"] is None, "the answer to end")
    answer = service.get(f"/api/chats/{chat['id']}/messages")["items"][-1]["message"]
    assert answer["finish_reason"] == "cancelled"
    assert answer["parts"][0]["text"].startswith("word ")
