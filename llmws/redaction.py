"""Takes secrets out of texts, in every form that gives them away. Which secrets there are is not known here."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus

# Shorter texts occur by chance.
SHORTEST = 6
# Enough for every key of a large hub; who tries keys for ever must not fill the memory.
MOST = 1000


class Redaction:
    """Replaces what it was told to hide, also where that is quoted for a URL or in base64.

    Example:
        >>> redaction = Redaction()
        >>> redaction.hide("sk-secret/1")
        >>> redaction.of("GET /?key=sk-secret%2F1 with sk-secret/1")
        'GET /?key=[key] with [key]'
    """

    def __init__(self) -> None:
        self._forms: dict[str, tuple[str, ...]] = {}

    def hide(self, secret: str) -> None:
        """Hide `secret` from now on; of too many, those that came up least lately are given up."""
        if len(secret) < SHORTEST:
            return
        forms = self._forms.pop(secret, None) or forms_of(secret)
        self._forms[secret] = forms
        while len(self._forms) > MOST:
            del self._forms[next(iter(self._forms))]

    def of(self, text: str) -> str:
        for forms in list(self._forms.values()):
            for form in forms:
                if form in text:
                    text = text.replace(form, "[key]")
        return text


def forms_of(secret: str) -> tuple[str, ...]:
    """The texts that give `secret` away, longest first: itself, for a URL, and in base64 wherever it begins there.

    Base64 encodes three bytes at a time, so a text within another looks in three ways; what its neighbours have a part
    in is left out.

    Example:
        >>> any(form in base64.b64encode(b"user:sk-123456").decode() for form in forms_of("sk-123456"))
        True
    """
    if not secret.isascii():
        return (secret,)  # no key, and perhaps nothing that can be encoded
    raw = secret.encode()
    encoded = set()
    for before in range(3):
        after = -(before + len(raw)) % 3
        padded = b"\0" * before + raw + b"\0" * after
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(padded).decode()
            encoded.add(text[-(-before * 4 // 3) : len(text) - -(-after * 4 // 3)])
    plain = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return tuple(sorted(plain | encoded, key=lambda form: (-len(form), form)))
