"""What people paste for a key."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from llmws.errors import InvalidRequest
from llmws.providers import catalog
from llmws.service.provider_keys import checked, warnings

KEY = "sk-Abc_123.x-y"


@pytest.mark.parametrize(
    "pasted",
    [
        KEY,
        f"  {KEY}\r\n",
        f"Bearer {KEY}",
        f"Authorization: Bearer {KEY}",
        f"authorization:bearer {KEY}",
        f"x-api-key: {KEY}",
        f'"{KEY}"',
        f"“{KEY}”",
        f"OPENAI_API_KEY={KEY}",
        f"export OPENAI_API_KEY='{KEY}'\n",
        f"\ufeff{KEY}\u200b",
        f"\xa0{KEY}\t",
    ],
)
def test_what_is_pasted_along_is_taken_away(pasted: str) -> None:
    assert checked(SecretStr(pasted)) == KEY


@pytest.mark.parametrize("whole", ["c2VjcmV0c2VjcmV0==", "key=1", "A=B", "Bearer1", "authorization"])
def test_what_only_looks_like_more_than_a_key_is_one(whole: str) -> None:
    assert checked(SecretStr(whole)) == whole


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("Bearer ", "empty"),
        ("sk-part one", "a blank"),
        ("sk-part\none", "a line break"),
        ("sk-pärt", "characters that no key has"),
        ("sk-pa\x00rt", "characters that no key has"),
        ("sk-secret-\ud83d", "characters that no key has"),
        ("••••••••", "when it is hidden"),
        ("**********", "when it is hidden"),
    ],
)
def test_what_cannot_be_a_key_is_refused_unrepeated(pasted: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        checked(SecretStr(pasted))
    assert refused.value.remedy
    if "part" in pasted:
        assert "part" not in str(refused.value)


def test_a_key_that_begins_as_another_vendor_s_do_is_noticed() -> None:
    vendors = catalog.load()
    for mine, key, said in [
        ("openai", "sk-proj-1", None),
        ("openai", "sk-ant-api03-1", "Anthropic"),
        ("anthropic", "sk-ant-api03-1", None),
        ("anthropic", "sk-proj-1", "of Anthropic begin with sk-ant-"),
        ("deepseek", "sk-1", None),
        ("deepseek", "ds-1", "of DeepSeek begin with sk-"),
        ("compatible", "sk-ant-1", None),
        ("ollama", "anything", None),
    ]:
        told = warnings(key, vendors[mine], vendors)
        assert (said is None) == (told == []), (mine, key, told)
        assert said is None or said in told[0]
        assert key not in str(told)
