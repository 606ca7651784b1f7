"""Secrets at rest: encrypted by AES-GCM under master keys that lie apart from the database.

A ciphertext is the text ``v1:<id of the master key>:<nonce and ciphertext in base64>``. The nonce is random (96 bits,
NIST SP 800-38D, 8.2.2: good for 2**32 encryptions of one key), the id of the row is authenticated along, so that a
ciphertext that is moved to another row opens nothing there. The first master key encrypts, all of them decrypt.

Which rows there are is not known here; `master_keys.py` re-encrypts them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..errors import MasterKeyError
from .redaction import KNOWN

FILE = "master.key"
_VARIABLE = "LLMWS_MASTER_KEY"
_VERSION, _NONCE_BYTES, _KEY_BYTES = "v1", 12, 32
_HEAD = """\
# The master keys of this llmws: the first encrypts, all of them decrypt. Without this file the providers' keys in the
# database cannot be read: keep a copy of it, apart from the copies of the database.
"""


class MasterKeys:
    """The master keys of a data folder: those of the setting first, then those of the file.

    Args:
        data: the data folder; its file `master.key` (0600) is made when there is first something to encrypt.
        configured: keys of 32 bytes in base64, separated by commas.

    Raises:
        MasterKeyError: a key is none, or others may read the file.

    Example:
        >>> import tempfile
        >>> keys = MasterKeys(Path(tempfile.mkdtemp()))
        >>> keys.ensure(in_use=[])
        >>> keys.decrypt(keys.encrypt("sk-secret", "row 1"), "row 1")
        'sk-secret'
    """

    def __init__(self, data: Path, configured: str | None = None) -> None:
        self.file = data / FILE
        self._configured = _parse((configured or "").replace(",", " ").split(), f"The setting {_VARIABLE}")
        self._filed: dict[str, bytes] = {}
        self.reload()

    @property
    def configured(self) -> bool:
        """Whether the setting rules: then no file is made or changed."""
        return bool(self._configured)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys that are here; the first encrypts."""
        return tuple(self._all)

    def reload(self) -> None:
        """Read the file again: it may have been put back."""
        self._filed = _read(self.file)

    def ensure(self, in_use: Iterable[str]) -> None:
        """Make the first master key, unless there is one.

        Raises:
            MasterKeyError: there was one, for it encrypted the ciphertexts `in_use`; another in its place would be
                overwritten, with what it encrypts, when that is put back.
        """
        if self._all:
            return
        self.reload()
        if self._all:
            return
        if wanted := sorted({key_id(ciphertext) for ciphertext in in_use}):
            raise self._missing(wanted[0])
        self.add()

    def encrypt(self, secret: str, row_id: str) -> str:
        """The ciphertext of `secret` for the row of this id; call `ensure` before."""
        KNOWN.hide(secret)
        current, key = next(iter(self._all.items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, secret.encode(), row_id.encode())
        return f"{_VERSION}:{current}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def decrypt(self, ciphertext: str, row_id: str) -> str:
        """What was encrypted for the row of this id.

        Raises:
            MasterKeyError: its master key is not here, or the ciphertext is not what was written there.
        """
        wanted = key_id(ciphertext)
        if wanted not in self._all:
            self.reload()
        if (key := self._all.get(wanted)) is None:
            raise self._missing(wanted)
        try:
            sealed = base64.urlsafe_b64decode(ciphertext.rpartition(":")[2])
            secret = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], row_id.encode()).decode()
        except (InvalidTag, ValueError):
            raise _damaged() from None
        KNOWN.hide(secret)
        return secret

    def add(self) -> str:
        """Make a master key, the first from now on, and return its id."""
        key = secrets.token_bytes(_KEY_BYTES)
        self._write({_id_of(key): key, **self._filed})
        return _id_of(key)

    def keep(self, ids: Collection[str]) -> tuple[str, ...]:
        """Forget the file's other keys, save the first; the ids of those that went."""
        gone = tuple(one for at, one in enumerate(self._filed) if at and one not in ids)
        if gone:
            self._write({one: key for one, key in self._filed.items() if one not in gone})
        return gone

    @property
    def _all(self) -> dict[str, bytes]:
        return self._configured | {one: key for one, key in self._filed.items() if one not in self._configured}

    def _write(self, keys: dict[str, bytes]) -> None:
        # Renamed when whole: a crash leaves the file as it was or as it shall be.
        aside = self.file.with_suffix(".key.new")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as new:
            new.write(_HEAD + "".join(f"{base64.urlsafe_b64encode(key).decode()}\n" for key in keys.values()))
            new.flush()
            os.fsync(new.fileno())
        aside.replace(self.file)
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._filed = keys

    def _missing(self, id: str) -> MasterKeyError:
        return MasterKeyError(
            f"The master key {id} is not here, without which this key cannot be read.",
            remedy=f"Put its file back as {self.file}, or name it in {_VARIABLE}; if it is lost, run `llmws keys"
            " rotate` for a new one and enter the provider's key again.",
            details={"master_key": id},
        )


def key_id(ciphertext: str) -> str:
    """The id of the master key that encrypted it.

    Example:
        >>> key_id("v1:0a1b2c3d:c2VjcmV0")
        '0a1b2c3d'
    """
    version, _, rest = ciphertext.partition(":")
    named, separator, _ = rest.partition(":")
    if version != _VERSION or not separator:
        raise _damaged()
    return named


def _id_of(key: bytes) -> str:
    """Names a key in files and messages; a hash of 256 random bits tells nothing of them."""
    return hashlib.sha256(b"llmws master key\0" + key).hexdigest()[:8]


def _read(file: Path) -> dict[str, bytes]:
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise MasterKeyError(
            f"The master keys in {file} cannot be read: {problem.strerror}.", remedy="Give the file to this account."
        ) from None
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as opened:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o077:
            raise MasterKeyError(
                f"Others may read the master keys in {file} (its mode is {mode:03o}).",
                remedy=f"Run `chmod 600 {file}`, then `llmws keys rotate` if somebody may have read it.",
            )
        lines = [line.strip() for line in opened.read().splitlines()]
    return _parse([line for line in lines if line and not line.startswith("#")], f"The file {file}")


def _parse(texts: Iterable[str], place: str) -> dict[str, bytes]:
    keys = {}
    for at, text in enumerate(texts, 1):
        try:
            key = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _KEY_BYTES:
            raise MasterKeyError(
                f"{place} holds what is no master key (number {at}).",
                remedy="A master key is 32 random bytes in base64: make one with `openssl rand -base64 32`.",
            )
        keys[_id_of(key)] = key
    return keys


def _damaged() -> MasterKeyError:
    return MasterKeyError(
        "This key is damaged, or was moved here from another row.", remedy="Remove it, and enter it again."
    )
