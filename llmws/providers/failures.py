"""What goes wrong with a model server, named: a `ProviderError` with one sentence, a remedy and no secret.

Vendors agree neither on status codes nor on words: an unpaid account is a 402, a 429, a 403 or a 400, a rate limit may
be an HTTP 200 with a code in its body. So where a status is ambiguous, words decide. The key never appears, even where
the server repeats it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from ..errors import ProviderError
from ..http import HTTPError, failure
from ..redaction import forms_of

# Once the model has finished, losing the line no longer matters.
OF_THE_LINE = {"provider_network", "provider_timeout"}
_RETRYABLE = {"provider_rate", "provider_overloaded", "provider_network", "provider_timeout"}

_SENTENCES = {
    "provider_auth": ("{name} does not accept the key.", "Check the key of {name}, and what it may be used for."),
    "provider_balance": ("The account at {name} has no balance left.", "Top it up, or choose another model."),
    "provider_rate": ("{name} limits how often it may be asked.", "Wait a little, then ask again."),
    "provider_context_length": (
        "The conversation is longer than the model {model} can read.",
        "Shorten it, or choose a model with a larger context.",
    ),
    "provider_content_filter": ("{name} filtered the content.", "Put it in other words, or choose another model."),
    "provider_not_found": ("{name} has no model {model}.", "Choose another model."),
    "provider_overloaded": ("{name} cannot answer now.", "Ask again in a moment, or choose another model."),
    "provider_invalid": ("{name} refused the request.", "Check the model and its parameters."),
    "provider_timeout": ("{name} took too long.", "Ask again, or choose another model."),
    "no_key": ("{name} wants a key.", "Give it one in its settings."),
    "provider": ("{name} reported an error.", "Ask again; if it stays, choose another model."),
}

# What vendors write, in the order in which it decides; matched against lower case.
_SIGNS = {
    "provider_context_length": r"context[ _]?(length|size|window)|prompt (is )?too long|input (is too long|length)"
    r"|too many tokens|reduce the length|上下文|输入.{0,8}超",
    "provider_balance": r"insufficient[ _](account[ _])?(balance|quota|credit|fund)|balance.{0,20}insufficient"
    r"|exceeded your current quota|arrearage|billing|spend(ing)?[ _]limit|payment required|out of credits|余额|欠费",
    "provider_content_filter": r"content[ _](filter|policy|management)|data_?inspection_?failed|inappropriate content"
    r"|sensitive (content|information|word)|moderation|敏感",
    "provider_rate": r"rate[ _-]?limit|too many requests|throttl|\b[rt]pm\b|[rt]pm_|33650[12]|tokens per minute"
    r"|限流|频繁",
    "provider_auth": r"(invalid|incorrect|missing|wrong|expired|no) ?_?(api|access)[ _-]?(key|token)|unauthori[sz]ed"
    r"|(api|access)[ _-]?(key|token).{0,20}(invalid|not valid|incorrect|missing|wrong|expired)|authentication",
    "provider_not_found": r"model[_ ]?not[_ ](found|exist)|model.{0,120}(does not exist|not (found|exist|supported))"
    r"|(no such|unknown|invalid) model|模型不存在",
    "provider_overloaded": r"overloaded|server[ _](is[ _])?busy|loading model|unavailable"
    r"|internal[ _]?(server[ _]?)?error|server_error|过载|繁忙",
}

_NETWORK = {
    "address": ("provider_invalid", "{address} is not an address.", "An address begins with https:// or http://."),
    "forbidden": (
        "provider_invalid",
        "{address} may not be asked from here.",
        "Correct the address of {name}, or have an administrator allow it.",
    ),
    "name": ("provider_network", "The name {host} is not known.", "Check the address of {name} and the network."),
    "refused": ("provider_network", "Nothing listens at {address}.", "Start {name}, or correct its address."),
    "tls": (
        "provider_network",
        "No secure connection to {address} came about.",
        "Name your organisation's certificates in SSL_CERT_FILE, or write http:// where the server has none.",
    ),
    "proxy": ("provider_network", "The proxy does not lead to {address}.", "Check HTTPS_PROXY and NO_PROXY."),
    "unreachable": ("provider_network", "{address} cannot be reached.", "Check the address of {name} and the network."),
    "busy": ("provider_overloaded", "Too many requests to {name} are under way.", "Wait a little, then ask again."),
    "silent": ("provider_timeout", "{name} kept silent for too long.", "Ask again, or choose another model."),
    "too_large": ("provider", "{name} sent more than can be read.", "Check the address of {name}."),
    "broken": ("provider_network", "The connection to {name} broke off.", "Ask again."),
}

_CORRECT = "Correct the address of {name}: {form}."


class Failures:
    """Names the failures of one model server.

    Args:
        name: what people call it.
        base_url: where it is; its scheme, host, port and path may be shown.
        api_key: what must never be shown.
        tells_when: after too many requests it always says when to ask again; where it does not, money is what ran out.
        address_form: what the addresses of such servers look like.

    Example:
        >>> failures = Failures("DeepSeek", "https://api.deepseek.com", "sk-secret-0")
        >>> print(failures.refused(402, {}, '{"error": {"message": "No balance for sk-secret-0"}}', "chat").message)
        The account at DeepSeek has no balance left: “No balance for [key]”.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None,
        *,
        tells_when: bool = False,
        address_form: str = "most end in /v1",
    ) -> None:
        url = urlsplit(base_url)
        self._tells_when = tells_when
        address = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
        self._words = {"name": name, "address": address, "host": url.hostname or address, "form": address_form}
        self._keyed = bool(api_key)
        secrets = {*forms_of(api_key or ""), url.password or ""}
        self._secrets = sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True)

    def redact(self, text: str) -> str:
        """`text` on one line, without secrets and not too long."""
        text = " ".join(text.split())
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        text = re.sub(r"(?i)\b(bearer\s+|sk-|(?:api_key|access_token)=)[\w.~+/*-]{6,}", r"\1[key]", text)
        return text if len(text) <= 500 else text[:499] + "…"

    def refused(self, status: int, headers: Mapping[str, str], body: str, model: str) -> ProviderError:
        """The failure that an HTTP status other than 200 means."""
        if 300 <= status < 400:
            return self._error("provider_invalid", "{address} sends its visitors elsewhere.", _CORRECT)
        if status == 404 and "model" not in body.lower():
            return self._error("provider_not_found", "There is no model server at {address}.", _CORRECT)
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            # A page for people tells nothing that our own sentence does not.
            told = "" if body.lstrip().startswith("<") else body
        seconds = _retry_after_s(headers)
        spent = status == 429 and seconds is None and self._tells_when
        error = self.told(told, model, status, code="provider_balance" if spent else None)
        if headers.get("x-should-retry") == "false":  # OpenAI's and Anthropic's
            error.retryable = False
        if seconds is None and error.code == "provider_rate":
            seconds = _seconds_told(error.message)
        if known := self.redact(request_id(headers)):
            error.details["request_id"] = known
        if seconds is not None:
            error.details["retry_after_s"] = seconds
            if error.retryable:
                error.remedy = f"Wait {seconds:.0f} s, then ask again."
        return error

    def told(self, told: Any, model: str, status: int | None = None, code: str | None = None) -> ProviderError:
        """The failure that a server describes in `told`, the JSON of a body or an event; `code` where it is known."""
        if isinstance(told, list) and told:  # Gemini's compatible endpoint
            told = told[0]
        body = told if isinstance(told, dict) else {"message": told}
        inner = body.get("error") or body
        inner = inner if isinstance(inner, dict) else {"message": inner}
        word = _first(inner, "code", "error_code", "type")
        said = self.redact(str(_first(inner, "message", "msg", "error_msg", "detail") or ""))
        status = _status_in(word) if status is None else status
        code = code or _code(status, f"{inner.get('type')} {word} {said}".lower())
        sentence, remedy = _SENTENCES["no_key" if code == "provider_auth" and not self._keyed else code]
        error = self._error(code, sentence, remedy, model=repr(model))
        if said:
            error.message = f"{error.message.removesuffix('.')}: “{said.rstrip('.')}”."
        if status is not None:
            error.details["status"] = status
        if word is not None:
            error.details["provider_code"] = self.redact(str(word))
        if isinstance(parameter := inner.get("param"), str) and parameter:
            error.details["parameter"] = self.redact(parameter)
        return error

    def network(self, error: HTTPError) -> ProviderError:
        """The failure that the HTTP library met."""
        return self._error(*_NETWORK[failure(error)])

    def broke_off(self) -> ProviderError:
        return self._error(*_NETWORK["broken"])

    def no_token(self) -> ProviderError:
        return self._error("provider_timeout", "{name} has not begun to answer.", _SENTENCES["provider_timeout"][1])

    def no_end(self) -> ProviderError:
        return self._error("provider_timeout", "{name} has not come to an end.", _SENTENCES["provider_timeout"][1])

    def unreadable(self) -> ProviderError:
        """The server sent neither a stream nor a completion."""
        return self._error("provider", "{name} sent what is no answer to a chat.", _CORRECT)

    def _error(self, code: str, message: str, remedy: str, **words: str) -> ProviderError:
        words = {**self._words, **words}
        return ProviderError(
            message.format(**words), remedy=remedy.format(**words), code=code, retryable=code in _RETRYABLE
        )


def is_complaint(body: Mapping[str, Any]) -> bool:
    """Whether JSON that came with HTTP 200 tells a failure.

    Example:
        >>> is_complaint({"code": 336501, "msg": "Rate limit reached for RPM"}), is_complaint({"choices": []})
        (True, False)
    """
    if body.get("error"):
        return True
    return "choices" not in body and _first(body, "code", "error_code") not in (None, 0, 200, "0", "200", "")


def request_id(headers: Mapping[str, str]) -> str:
    """What a vendor wants to be told when something was wrong: OpenAI's, Anthropic's and SiliconFlow's headers."""
    names = ("x-request-id", "request-id", "x-siliconcloud-trace-id")
    return next((headers[name] for name in names if headers.get(name)), "")


def _code(status: int | None, words: str) -> str:
    """The error code of an HTTP `status` and what was said with it.

    Example:
        >>> _code(429, "you exceeded your current quota"), _code(400, "arrearage"), _code(503, "")
        ('provider_balance', 'provider_balance', 'provider_overloaded')
    """
    sign = next((code for code, pattern in _SIGNS.items() if re.search(pattern, words)), None)
    match status:
        case 401:
            return "provider_auth"
        case 402:
            return "provider_balance"
        case 403:
            return sign or "provider_auth"
        case 404:
            return "provider_not_found"
        case 408 | 504:
            return "provider_timeout"
        case 413:
            return sign or "provider_context_length"
        case 429:
            # Gemini says of every limit that a quota was exceeded; of money nobody says when it will be there.
            spent = sign == "provider_balance" and _seconds_told(words) is None
            return "provider_balance" if spent else "provider_rate"
        case int() if status >= 500 and (status == 501 or "not support" in words):
            return "provider_invalid"  # llama.cpp's answer to an image without a projector: asking again does not help
        case int() if status >= 500:
            return "provider_context_length" if sign == "provider_context_length" else "provider_overloaded"
        case int() if status >= 400:
            return sign or "provider_invalid"
    return sign or "provider"


def _first(value: Mapping[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)


def _status_in(word: Any) -> int | None:
    """The HTTP status that some servers put where others put a word."""
    text = str(word)
    return int(text) if text.isascii() and text.isdigit() and 400 <= int(text) < 600 else None


_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds_told(words: str) -> float | None:
    """When a sentence says to ask again: OpenAI's and Gemini's do.

    Example:
        >>> _seconds_told("Rate limit reached. Please try again in 1m30s.")
        90.0
    """
    found = re.search(r"(?i)(?:retry|again) (?:in|after) ((?:\d+(?:\.\d+)?\s?(?:ms|[smh])[a-z]*\s?)+)", words)
    if found is None:
        return None
    steps = re.findall(r"(\d+(?:\.\d+)?)\s?(ms|[smh])", found[1].lower())
    return min(sum(float(count) * _UNITS_S[unit] for count, unit in steps), 86_400.0)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds or a date, as HTTP allows; None where the server says neither."""
    told = headers.get("retry-after", "")
    try:
        return min(max(0.0, float(told)), 86_400.0)
    except ValueError:
        pass
    try:
        return min(max(0.0, round(parsedate_to_datetime(told).timestamp() - time.time(), 1)), 86_400.0)
    except (ValueError, OverflowError):
        return None
