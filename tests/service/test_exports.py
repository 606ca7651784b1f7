"""Exports of a real service: all formats, one chat and all of them, by ticket and by token."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator

import httpx
import nbformat
import pytest

from .harness import Running
from .test_downloads import a_chat
from .test_edge import error

BEGINS = {"json": '{"format": "llmws.chats"', "markdown": "# Sky", "html": "<!doctype html>", "csv": "\ufeffchat_id,"}
BEGINS["notebook"] = '{\n "cells": ['


@pytest.fixture
def browser(service: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{service.instance.url}/door/", trust_env=False) as client:
        yield client


@pytest.mark.parametrize("format", BEGINS)
def test_a_chat_is_exported_in_each_format(service: Running, browser: httpx.Client, format: str) -> None:
    chat = a_chat(service, title="Sky")
    path = service.post("/api/tickets", {"action": "download", "thing": f"chats/{chat['id']}"})["path"]
    saved = browser.get(f"{path}&format={format}")
    assert saved.text.startswith(BEGINS[format])
    assert "Because." in saved.text
    assert "sandbox" in saved.headers["content-security-policy"]
    by_token = service.http.get("/api/exports", params={"chat": chat["id"], "format": format})
    assert by_token.headers["content-disposition"] == saved.headers["content-disposition"]
    assert "思考" in browser.get(f"{path}&format=html&language=zh").text


def test_all_chats_are_exported_as_one_file(service: Running, browser: httpx.Client) -> None:
    kept = [a_chat(service, title="Sky")["id"] for _ in range(3)]
    service.http.delete(f"/api/chats/{kept.pop()}")
    path = service.post("/api/tickets", {"action": "download", "thing": "chats"})["path"]
    told = json.loads(browser.get(path).content)
    assert [chat["id"] for chat in told["chats"]] == kept
    rows = list(csv.DictReader(io.StringIO(browser.get(f"{path}&format=csv").content.decode("utf-8-sig"))))
    assert [(row["chat_id"], row["role"]) for row in rows] == [
        (each, role) for each in kept for role in ("user", "assistant")
    ]
    packed = browser.get(f"{path}&format=notebook")
    assert packed.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.namelist() == ["Sky.ipynb", "Sky 2.ipynb"]
        nbformat.validate(nbformat.reads(archive.read("Sky.ipynb").decode(), as_version=4))


def test_a_ticket_for_one_chat_is_none_for_all(service: Running, browser: httpx.Client) -> None:
    chat = service.new_chat()
    one = service.post("/api/tickets", {"action": "download", "thing": f"chats/{chat['id']}"})["ticket"]
    everything = service.post("/api/tickets", {"action": "download", "thing": "chats"})["ticket"]
    error(browser.get("chats/download", params={"ticket": one}), 403)
    error(browser.get(f"chats/{chat['id']}/download", params={"ticket": everything}), 403)
    error(service.http.post("/api/tickets", json={"action": "upload", "thing": "chats"}), 422)
    error(service.http.post("/api/tickets", json={"action": "download", "thing": "chats/"}), 422)
    error(service.http.get("/api/exports", params={"chat": "1"}), 404)
