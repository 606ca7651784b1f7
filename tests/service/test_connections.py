"""The test of a connection: what is wrong, in a word for programs and a sentence for people."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from llmws.service import connections
from llmws.service.identity import _account
from llmws.store import usage as kept_usage
from llmws.store.usage import UsageRow

from .harness import Running, wait_for
from .test_edge import error
from .test_providers import add
from .vendor_server import VendorServer, vendor_server


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with vendor_server() as server:
        yield server


def tried(service: Running, base_url: str, **more: Any) -> dict[str, Any]:
    """The verdict on one that is not kept, of a vendor that wants keys."""
    verdict = service.post("/api/providers/test", {"vendor": "deepseek", "base_url": base_url, **more})
    assert set(verdict) > {"ok", "code", "message", "remedy", "latency_s", "model_count", "checked_at"}
    assert verdict["ok"] == (verdict["code"] == "ok")
    assert verdict["ok"] or verdict["remedy"]
    return dict(verdict)


def usage(service: Running) -> list[UsageRow]:
    rows, _ = asyncio.run(service.server.app.state.store.read(kept_usage.page, _account()))
    return [row for row in rows if row.purpose == "probe"]


def test_one_that_works_is_told_from_a_word_of_it(service: Running, vendor: VendorServer) -> None:
    verdict = tried(service, vendor.url, key="Bearer sk-good-1\n")
    assert (verdict["code"], verdict["model_count"]) == ("ok", 3)
    assert verdict["message"] == "DeepSeek answers, and lists 3 models."
    assert verdict["latency_s"] > 0
    assert [(path, key) for path, key, _ in vendor.asked] == [
        ("/models", "sk-good-1"),
        ("/chat/completions", "sk-good-1"),
    ]
    assert vendor.asked[1][2]["model"] == "m"
    assert service.get("/api/providers")["items"] == []


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (401, "Invalid API key", "wrong_key"),
        (402, "Insufficient balance", "no_balance"),
        (429, "You exceeded your current quota", "no_balance"),
        (429, "Too many requests", "rate_limited"),
        (503, "Overloaded", "overloaded"),
    ],
)
def test_a_refusal_is_named_and_the_key_is_not(
    service: Running, vendor: VendorServer, status: int, said: str, code: str
) -> None:
    vendor.refusals["sk-refused-1"] = status, said
    verdict = tried(service, vendor.url, key="sk-refused-1")
    assert verdict["code"] == code
    assert "sk-refused-1" not in str(verdict)


def test_an_empty_account_shows_though_it_may_list(service: Running, vendor: VendorServer) -> None:
    vendor.open_list = True
    vendor.refusals["sk-empty-1"] = 402, "Insufficient balance"
    verdict = tried(service, vendor.url, key="sk-empty-1")
    assert (verdict["code"], verdict["model_count"]) == ("no_balance", 3)
    assert tried(service, vendor.url)["code"] == "no_key"


def test_a_model_that_is_named_is_asked(service: Running, vendor: VendorServer) -> None:
    assert tried(service, vendor.url, key="sk-good-1", model="m-large")["code"] == "ok"
    verdict = tried(service, vendor.url, key="sk-good-1", model="gpt-9")
    assert verdict["code"] == "no_such_model"
    assert "gpt-9" in verdict["message"]
    # Of one that nobody named, a refusal says nothing about the provider.
    vendor.models = ["text-embedding-m"]
    assert tried(service, vendor.url, key="sk-good-1")["code"] == "ok"


def test_what_is_no_model_server_is_told_from_one(service: Running, vendor: VendorServer) -> None:
    verdict = tried(service, vendor.url.removesuffix("/v1"), key="sk-good-1")
    assert verdict["code"] == "not_a_model_server"
    assert "/v1" in verdict["remedy"]
    with _web_page() as url:
        assert tried(service, url, key="sk-good-1")["code"] == "not_a_model_server"


def test_what_is_wrong_with_the_network_is_told(
    service: Running, vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert tried(service, f"http://127.0.0.1:{port}/v1", key="sk-good-1")["code"] == "refused"
    assert tried(service, vendor.url.replace("http:", "https:"), key="sk-good-1")["code"] == "tls"
    assert tried(service, "http://no-such-name.invalid/v1", key="sk-good-1")["code"] == "name_not_found"
    monkeypatch.setattr(connections, "LIST_S", 0.05)
    vendor.listing.clear()
    assert tried(service, vendor.url, key="sk-good-1")["code"] == "timeout"
    vendor.listing.set()


def test_what_cannot_be_tried_is_refused(service: Running, vendor: VendorServer) -> None:
    body = {"vendor": "deepseek", "base_url": vendor.url}
    error(service.http.post("/api/providers/test", json={**body, "key": "two words"}), 422)
    error(service.http.post("/api/providers/test", json={**body, "base_url": "file:///x"}), 422)
    assert vendor.asked == []


def test_each_key_of_a_kept_one_is_tried_and_one_that_works_again_is_taken_up(
    service: Running, vendor: VendorServer
) -> None:

    def parked() -> dict[str, str | None]:
        return {key["label"]: key["parked_reason"] for key in service.get("/api/providers/deepseek")["keys"]}

    add(service, vendor, of="deepseek")
    service.post("/api/providers/deepseek/keys", {"key": "sk-old-1", "label": "old"})
    vendor.refusals["sk-old-1"] = 401, "Invalid API key"
    verdict = service.post("/api/providers/deepseek/test")
    assert verdict["code"] == "wrong_key"
    assert verdict["message"].startswith("With the key “old”: ")
    assert {key for path, key, _ in vendor.asked if path == "/models"} >= {"sk-good-1", "sk-old-1"}
    wait_for(lambda: parked() == {"key 1": None, "old": "provider_auth"}, "the key to be parked")
    vendor.refusals.clear()
    assert service.post("/api/providers/deepseek/test", {"model": "m"})["code"] == "ok"
    assert parked() == {"key 1": None, "old": None}


def test_a_test_is_paid_by_whoever_runs_it(service: Running, vendor: VendorServer) -> None:
    tried(service, vendor.url, key="sk-good-1")
    [row] = wait_for(lambda: usage(service), "the usage")
    assert (row.model, row.input_tokens, row.output_tokens) == ("deepseek/m", 5, 2)


@contextmanager
def _web_page() -> Iterator[str]:
    """What answers everything with a page for people."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>Welcome to our router.</html>")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
