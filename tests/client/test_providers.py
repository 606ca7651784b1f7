"""Providers from a cell: what is typed, what is shown, and that a key is in nothing of it."""

from __future__ import annotations

import getpass
import io
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.ultratb import VerboseTB

from llmws.client import Client
from llmws.client.bridge import bridge
from llmws.client.providers import Providers
from llmws.errors import Error, InvalidRequest, NotFound, ServiceError
from tests.client.stand_in import Asked, stand_in
from tests.service.harness import Running
from tests.service.vendor_server import VendorServer, vendor_server

KEY = "sk-typed-into-a-cell-1"


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with vendor_server() as server:
        yield server


def test_a_provider_is_added_used_and_removed(client: Client, vendor: VendorServer) -> None:
    added = client.providers.add("compatible", KEY, base_url=vendor.url, id="lab", name="The lab", only=["m*"])
    assert repr(added) == "Provider('lab', 2 models)"
    assert client.chat("Hi", model="lab/m", show=False).text == "Yes."
    assert vendor.asked_with() == [KEY]
    assert client.providers.test("lab").ok
    assert client.providers.test("lab", model="gpt-9").code == "no_such_model"
    models = client.providers.models("lab").set_index("id")
    assert models.loc["lab/m", "context"] == 4096
    assert models.loc["lab/m", "said_by"] == {"context": "provider"}
    assert list(models.offered) == [True, True, False]
    client.providers.add_key("lab", "sk-second-1", label="second")
    row = client.providers.list().set_index("id").loc["lab"]
    assert (row["name"], row["keys"], row["model_count"]) == ("The lab", 2, 2)
    assert row["listed_at"].year > 2020
    client.providers.remove("lab")
    assert len(client.providers.list()) == 0
    with pytest.raises(NotFound, match="'lab'"):
        client.providers.sync("lab")


def test_a_key_is_asked_for_unseen_where_one_is_wanted(
    client: Client, vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda prompt: asked.append(prompt) or KEY)
    client.providers.add("deepseek", base_url=vendor.url)
    client.providers.add("compatible", base_url=vendor.url)
    client.providers.add_key("compatible")
    assert asked == ["Key of DeepSeek: ", "Key of compatible: "]
    assert KEY in vendor.asked_with("/models")


def test_where_nobody_can_be_asked_that_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(prompt: str) -> str:
        raise NotImplementedError("this frontend does not support input requests")

    monkeypatch.setattr(getpass, "getpass", refuse)
    with pytest.raises(InvalidRequest, match="Give `key`"):
        client.providers.add("deepseek")


def test_what_looks_odd_is_a_warning(client: Client, vendor: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by `pytest.warns`, which another thread, here the service's, may undo."""
    told: list[str] = []
    monkeypatch.setattr(warnings, "warn", lambda text, **_: told.append(text))
    client.providers.add("openai", "sk-ant-1234567", base_url=vendor.url)
    assert "This looks like a key of Anthropic, not of OpenAI." in told


def test_who_it_is_shared_with_is_one_of_two(client: Client) -> None:
    for who in ({}, {"person": "eve", "group": "researchers"}):
        with pytest.raises(InvalidRequest, match="a person or a group"):
            client.providers.share("lab", **who)


def shown(cell: str, **names: Any) -> str:
    """All that a cell which fails shows, in IPython's most talkative mode: without the source, which was typed."""
    shell = InteractiveShell.instance()
    try:
        exec(cell, names)
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is shown
        talkative = VerboseTB(include_vars=True)
        lines = talkative.structured_traceback(type(problem), problem, problem.__traceback__, tb_offset=0)
        plain = "".join(traceback.format_exception(problem))
        return "\n".join(lines) + plain + repr(problem)
    finally:
        shell.cleanup()
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    "cell",
    [
        "providers.add('deepseek', key(), base_url='file:///x')",
        "providers.add('deepseek', key() + ' and more', base_url=url)",
        "providers.add_key('nobody', key())",
    ],
)
def test_no_traceback_shows_a_key(client: Client, vendor: VendorServer, cell: str) -> None:
    text = shown(cell, providers=client.providers, url=vendor.url, key=lambda: KEY)
    assert "Error" in text or "NotFound" in text or "InvalidRequest" in text
    assert KEY not in text


def test_no_traceback_shows_a_key_that_did_not_arrive() -> None:
    def stranger(asked: Asked) -> None:
        asked.raw(b"<html>" + str(asked.body).encode() + b"</html>")

    class Stub:
        def __init__(self, api: Any) -> None:
            self.api = api

        def run(self, coroutine: Any) -> Any:
            return bridge().run(coroutine)

    with stand_in(stranger) as other:
        providers = Providers(Stub(other.api))  # type: ignore[arg-type]
        with pytest.raises(ServiceError):
            providers.add_key("x", KEY)
        text = shown("providers.add_key('x', key())", providers=providers, key=lambda: KEY)
    assert "is not an llmws service" in text
    assert KEY not in text


def test_nothing_that_is_shown_holds_a_key(client: Client, vendor: VendorServer, service: Running) -> None:
    out = io.StringIO()
    vendor.refusals[KEY] = 401, "Invalid API key"
    added = client.providers.add("compatible", KEY, base_url=vendor.url)
    for value in (added, client.providers, client.providers.test("compatible"), vars(added.__class__)):
        print(value, file=out)
    print(client.providers.list().to_dict(), client.providers.models("compatible").to_dict(), file=out)
    with pytest.raises(Error) as refused:
        client.chat("Hi", model="compatible/m", show=False)
    print(refused.value, refused.value.details, file=out)
    assert KEY not in out.getvalue()
    assert added.problem is not None
