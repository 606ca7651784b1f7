"""A failure says what happened and what helps, and never the key."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmws.errors import ProviderError
from llmws.providers.failures import Failures, is_complaint

KEY = "Aa0/Bb1+Cc2="
FAILURES = Failures("Vendor", "https://user:hunter22@llm.example:8443/v1", KEY)


def openai(message: str, code: Any = None, type: str = "invalid_request_error") -> str:
    return json.dumps({"error": {"message": message, "type": type, "param": None, "code": code}})


# (status, body, code); bodies as vendors document them or as their users report them
REFUSALS = [
    (401, openai("Incorrect API key provided", "invalid_api_key"), "provider_auth"),
    (401, "", "provider_auth"),
    (403, openai("Country, region, or territory not supported"), "provider_auth"),
    (403, '{"code":30001,"message":"Sorry, your account balance is insufficient","data":null}', "provider_balance"),
    (402, openai("Insufficient Balance", "invalid_request_error", "unknown_error"), "provider_balance"),
    (429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), "provider_balance"),
    (400, openai("Access denied, please make sure your account is in good standing.", "Arrearage"), "provider_balance"),
    (429, openai("Rate limit reached for gpt-4o in organization org-x", "rate_limit_exceeded"), "provider_rate"),
    (429, "Too Many Requests", "provider_rate"),
    (400, openai("Requests rate limit exceeded", "Throttling.RateQuota"), "provider_rate"),
    (413, openai("Request too large on tokens per minute (TPM): Limit 6000"), "provider_rate"),
    (413, "<html>Request Entity Too Large</html>", "provider_context_length"),
    (400, openai("This model's maximum context length is 4096 tokens"), "provider_context_length"),
    (400, openai("request (9031 tokens) exceeds the available context size", 400), "provider_context_length"),
    (400, openai("Range of input length should be [1, 98304]", "invalid_parameter_error"), "provider_context_length"),
    (500, openai("the request exceeds the available context size"), "provider_context_length"),
    (400, openai("Input data may contain inappropriate content.", "data_inspection_failed"), "provider_content_filter"),
    (400, openai("系统检测到输入或生成内容可能包含不安全或敏感内容", "1301"), "provider_content_filter"),
    (400, openai("Model Not Exist"), "provider_not_found"),
    (404, openai("The model `gpt-9` does not exist", "model_not_found"), "provider_not_found"),
    (404, openai("File Not Found", 404, "not_found_error"), "provider_not_found"),
    (404, '{"detail":"Not Found"}', "provider_not_found"),
    (400, openai("Unsupported parameter: 'max_tokens'", "unsupported_parameter"), "provider_invalid"),
    (422, '{"detail":[{"loc":["body","x"],"msg":"field required"}]}', "provider_invalid"),
    (
        400,
        '[{"error":{"code":400,"message":"API key not valid. Please pass a valid one.","status":"INVALID_ARGUMENT"}}]',
        "provider_auth",
    ),
    (
        429,
        '[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.'
        ' Please retry in 36.5s.","status":"RESOURCE_EXHAUSTED"}}]',
        "provider_rate",
    ),
    (429, openai("您的账户已欠费,请充值", "1113"), "provider_balance"),
    (429, openai("Your account is suspended, please check your plan and billing details"), "provider_balance"),
    (308, "", "provider_invalid"),
    (408, "", "provider_timeout"),
    (503, openai("Loading model", 503, "unavailable_error"), "provider_overloaded"),
    (529, "overloaded", "provider_overloaded"),
    (500, "", "provider_overloaded"),
    (500, openai("image input is not supported", 500, "server_error"), "provider_invalid"),
    (501, openai("This server does not support embeddings", 501, "not_supported_error"), "provider_invalid"),
    (504, "<html>Gateway Time-out</html>", "provider_timeout"),
    (418, '["what"]', "provider_invalid"),
]


@pytest.mark.parametrize(("status", "body", "code"), REFUSALS)
def test_a_refusal_is_understood(status: int, body: str, code: str) -> None:
    error = FAILURES.refused(status, {}, body, "some-model")
    assert error.code == code
    assert error.message.endswith(".")
    assert error.remedy.endswith(".")
    assert error.retryable == (code in {"provider_rate", "provider_overloaded", "provider_timeout"})
    assert "<html>" not in error.message


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"error": "model overloaded"}, "provider_overloaded"),
        ({"error": {"code": 429, "message": "slow down"}}, "provider_rate"),
        ({"code": 336501, "msg": "Rate limit reached for RPM"}, "provider_rate"),
        ({"error_code": 336502, "error_msg": "Rate limit reached for TPM"}, "provider_rate"),
        (
            {"object": "error", "message": "is too long: maximum context length", "code": 40303},
            "provider_context_length",
        ),
        ({"code": "InvalidApiKey", "message": "Invalid API-key provided."}, "provider_auth"),
        ({"error": {"message": "something"}}, "provider"),
    ],
)
def test_a_complaint_inside_a_200_is_understood(told: dict[str, Any], code: str) -> None:
    assert is_complaint(told)
    assert FAILURES.told(told, "m").code == code


@pytest.mark.parametrize(
    "body",
    [
        {"choices": []},
        {"choices": [], "error": None, "code": 0},
        {"data": [], "code": 20000 - 20000},
        {},
        {"code": 200},
    ],
)
def test_what_is_no_complaint_is_none(body: dict[str, Any]) -> None:
    assert not is_complaint(body)


def test_what_the_server_said_is_told_in_one_sentence_with_a_remedy() -> None:
    error = FAILURES.refused(429, {"retry-after": "21"}, openai("Slow\n down."), "m")
    assert error.message == "Vendor limits how often it may be asked: “Slow down”."
    assert error.remedy == "Wait 21 s, then ask again."
    assert error.details == {"status": 429, "provider_code": "invalid_request_error", "retry_after_s": 21.0}


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    error = FAILURES.refused(429, {"retry-after": later}, "", "m")
    assert 60 < error.details["retry_after_s"] <= 90
    # Nobody waits for a century, nor a key.
    error = FAILURES.refused(429, {"retry-after": "Fri, 31 Dec 2999 23:59:59 GMT"}, "", "m")
    assert error.details["retry_after_s"] == 86_400.0


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Rate limit reached for gpt-4o. Please try again in 6ms.", 0.006),
        ("Please try again in 1m30s. Visit our page.", 90.0),
        ("Please retry in 36.5s.", 36.5),
        ("Try again in 20 seconds", 20.0),
        ("Try again in 9999h", 86_400.0),
        ("Slow down", None),
        ("Try again in a moment", None),
    ],
)
def test_when_to_ask_again_may_be_said_in_words(said: str, seconds: float | None) -> None:
    told = FAILURES.refused(429, {}, openai(said), "m").details.get("retry_after_s")
    assert told == (seconds if seconds is None else pytest.approx(seconds))
    assert FAILURES.refused(429, {"retry-after": "3"}, openai(said), "m").details["retry_after_s"] == 3.0


@pytest.mark.parametrize("nonsense", ["", "soon", "-5", "nan", "inf", "1e400", "Mon, 99 Foo"])
def test_retry_after_may_be_nonsense(nonsense: str) -> None:
    details = FAILURES.refused(429, {"retry-after": nonsense}, "", "m").details
    json.dumps(details, allow_nan=False)
    assert 0 <= details.get("retry_after_s", 0) <= 86_400


def test_a_missing_key_is_not_called_a_wrong_one() -> None:
    error = Failures("Vendor", "https://llm.example", None).refused(401, {}, "", "m")
    assert error.message == "Vendor wants a key."


@pytest.mark.parametrize("place", ["message", "code", "type", "unknown"])
@pytest.mark.parametrize("secret", [KEY, "Aa0%2FBb1%2BCc2%3D", "hunter22"])
@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_a_key_that_the_server_repeats_is_not_repeated(status: int, secret: str, place: str) -> None:
    body = json.dumps({"error": {"message": "no model", place: f"model, you sent {secret} as key"}})
    error = FAILURES.refused(status, {"retry-after": "1"}, body, "m")
    assert_silent(error, secret)
    assert_silent(FAILURES.told(json.loads(body), "m"), secret)


def test_keys_of_others_are_not_repeated_either() -> None:
    said = FAILURES.refused(401, {}, openai("Wrong key sk-0123456789abcdef; api_key=0123456789"), "m").message
    assert "0123456789" not in said


def test_a_long_complaint_is_cut() -> None:
    assert len(FAILURES.refused(400, {}, "x" * 100_000, "m").message) < 700


@settings(max_examples=100, deadline=None)
@given(st.integers(100, 599), st.text(max_size=40), st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_no_body_is_a_surprise(status: int, text: str, told: Any) -> None:
    for body in (
        text,
        json.dumps(told),
        json.dumps({"error": told}),
        json.dumps({"error": {"message": told, "code": told}}),
    ):
        error = FAILURES.refused(status, {}, body, text)
        json.dumps(error.to_dict())


def assert_silent(error: ProviderError, secret: str) -> None:
    assert secret not in repr(error.to_dict()) + repr(error) + str(error)
