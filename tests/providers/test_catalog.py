"""The vendors that come along, and those that somebody adds."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmws.errors import ProviderError, SettingsError
from llmws.providers.anthropic_messages import AnthropicMessages
from llmws.providers.catalog import load, open_provider
from llmws.providers.echo import Echo
from llmws.providers.ollama import Ollama
from llmws.providers.openai_chat import OpenAIChat
from llmws.providers.openai_responses import OpenAIResponses

from .conftest import DONE, Upstream, ask, chunk


def test_every_vendor_can_be_opened() -> None:
    wires = {
        "echo": Echo,
        "openai_chat": OpenAIChat,
        "openai_responses": OpenAIResponses,
        "anthropic_messages": AnthropicMessages,
        "ollama": Ollama,
    }
    for vendor in load().values():
        provider = open_provider(vendor, "sk-a-key", base_url=vendor.base_url or "http://127.0.0.1:9/v1")
        assert provider.name == vendor.name
        assert isinstance(provider, wires[vendor.wire])


def test_the_vendors_that_come_along() -> None:
    vendors = load()
    wanted = """
        embedded echo openai openai-chat anthropic gemini deepseek siliconflow siliconflow-com dashscope dashscope-intl
        zhipu zai qianfan moonshot moonshot-ai openrouter ollama vllm llamacpp lmstudio compatible
    """
    assert list(vendors) == wanted.split()
    assert all(vendor.base_url.startswith(("https://", "http://localhost:", "")) for vendor in vendors.values())
    for vendor in (vendor for vendor in vendors.values() if vendor.needs_key):
        assert vendor.base_url.startswith("https://")
        assert vendor.docs.startswith("https://")
        assert vendor.key_hint


def test_a_vendor_may_be_like_another(tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    path.write_text('[house]\nlike = "moonshot"\nname = "Ours"\nbase_url = "http://gpu7/v1"\n', "utf-8")
    vendors = load(path)
    assert vendors["house"].quirks == vendors["moonshot"].quirks == vendors["moonshot-ai"].quirks
    assert (vendors["house"].wire, vendors["house"].name) == ("openai_chat", "Ours")


def test_a_vendor_that_wants_a_key_says_so_before_it_is_asked() -> None:
    with pytest.raises(ProviderError, match="OpenAI wants a key") as caught:
        open_provider(load()["openai"])
    assert caught.value.code == "provider_auth"


def test_a_vendor_without_an_address_needs_one() -> None:
    with pytest.raises(ProviderError) as caught:
        open_provider(load()["compatible"])
    assert caught.value.code == "provider_invalid"


async def test_the_quirks_of_a_row_reach_the_wire(upstream: Upstream) -> None:
    upstream.answers(chunk({"content": "Hm.</think>Yes"}), chunk({}, "stop"), DONE)
    provider = open_provider(load()["vllm"], base_url=upstream.url)
    request = ask(model="deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", reasoning_effort="none")
    kinds = [event.type async for event in provider.stream(request)]
    await provider.aclose()
    assert kinds == ["start", "reasoning", "text", "end"]
    assert upstream.received[0].body["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_file_adds_vendors_and_replaces_them(tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    path.write_text(
        """
        [house]
        name = "Our own"
        wire = "openai_chat"
        base_url = "http://gpu7:8000/v1"
        needs_key = false
        quirks = { include_usage = false, opens_in_reasoning = ["r1-*"] }

        [openai]
        name = "OpenAI through our proxy"
        wire = "openai_chat"
        base_url = "https://proxy.example/v1"
        """,
        "utf-8",
    )
    vendors = load(path)
    assert vendors["house"].quirks.opens_in_reasoning == ("r1-*",)
    assert not vendors["house"].quirks.include_usage
    assert vendors["openai"].name == "OpenAI through our proxy"
    assert vendors["deepseek"] == load()["deepseek"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[house", "not TOML"),
        ("house = 1", "[house]"),
        ('[house]\nname = "x"', "wire is missing"),
        ('[house]\nname = "x"\nwire = "smoke"', "wire is 'smoke'"),
        ('[house]\nname = 1\nwire = "echo"', "name is 1"),
        ('[house]\nname = "x"\nwire = "echo"\nkey = "sk-1"', "'key' is not known"),
        ('[house]\nname = "x"\nwire = "echo"\nneeds_key = "no"', "needs_key is 'no'"),
        ('[house]\nname = "x"\nwire = "echo"\nquirks = 1', "not a table"),
        ('[house]\nlike = "nobody"\nname = "x"', "like is 'nobody'"),
        ('[house]\nlike = "zai"\nname = "x"', "like is 'zai'"),
        ('[house]\nname = "x"\nwire = "openai_chat"\nquirks = { highest_temperature = true }', "is True"),
        (
            '[house]\nname = "x"\nwire = "openai_chat"\nquirks = { reasoning_effort = "filed" }',
            "quirks: reasoning_effort",
        ),
        (
            '[house]\nname = "x"\nwire = "openai_chat"\nquirks = { opens_in_reasoning = "r1" }',
            "quirks: opens_in_reasoning",
        ),
        ('[house]\nname = "x"\nwire = "echo"\nquirks = { quark = true }', "'quark' is not known"),
        ('[house]\nname = "x"\nwire = "anthropic_messages"\nquirks = { dialects = [1] }', "dialects is [1]"),
        (
            '[house]\nname = "x"\nwire = "anthropic_messages"\n[[house.quirks.dialects]]\nmax_tokens = true',
            "quirks, dialects: max_tokens is True",
        ),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "providers.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.remedy


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes("# é".encode("latin-1"))
    with pytest.raises(SettingsError, match="not TOML"):
        load(tmp_path / "latin.toml")
