"""Keys at rest: what opens them, what happens without it, and a new master key in its place."""

from __future__ import annotations

import base64
import json
import logging
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmws import cli
from llmws.errors import Error, MasterKeyError
from llmws.redaction import Redaction, forms_of
from llmws.service import master_keys
from llmws.service.redaction import KNOWN, LogFormatter
from llmws.service.secrets import FILE, MasterKeys
from llmws.service.secrets import key_id as master_key_of
from llmws.settings import Settings, forget_master_key
from llmws.store import Store, new_id, provider_keys, providers

from .harness import running_service

OTHER = base64.b64encode(bytes(range(32))).decode()
YET_ANOTHER = base64.urlsafe_b64encode(bytes(range(200, 232))).decode()


@pytest.fixture
def keys(tmp_path: Path) -> MasterKeys:
    keys = MasterKeys(tmp_path)
    keys.ensure([])
    return keys


def test_a_key_is_read_by_whoever_has_the_file(keys: MasterKeys, tmp_path: Path) -> None:
    ciphertexts = {keys.encrypt("sk-secret", "row") for _ in range(100)}
    assert len(ciphertexts) == 100, "a nonce came twice"
    assert not any("secret" in text for text in ciphertexts)
    assert {MasterKeys(tmp_path).decrypt(text, "row") for text in ciphertexts} == {"sk-secret"}
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_ciphertext_opens_nothing_in_another_row(keys: MasterKeys) -> None:
    with pytest.raises(MasterKeyError, match="moved"):
        keys.decrypt(keys.encrypt("sk-secret", "mine"), "yours")


def test_a_ciphertext_that_was_changed_opens_nothing(keys: MasterKeys) -> None:
    text = keys.encrypt("sk-secret", "row")
    for at in (-1, -10, text.rindex(":") + 1):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + (text[at:][1:])
        with pytest.raises(MasterKeyError, match="damaged"):
            keys.decrypt(changed, "row")
    for nonsense in ("", "v2:1:x", "sk-secret", text[: text.rindex(":") + 1]):
        with pytest.raises(MasterKeyError, match="damaged"):
            keys.decrypt(nonsense, "row")


def test_the_setting_s_first_key_encrypts_and_all_decrypt(keys: MasterKeys, tmp_path: Path) -> None:
    filed = keys.encrypt("one", "row")
    first = MasterKeys(tmp_path, OTHER)
    second = MasterKeys(tmp_path, f"{YET_ANOTHER}, {OTHER}")
    assert first.decrypt(filed, "row") == "one"
    assert second.decrypt(first.encrypt("two", "row"), "row") == "two"
    assert master_key_of(second.encrypt("three", "row")) == MasterKeys(tmp_path, YET_ANOTHER).ids[0]
    assert master_key_of(first.encrypt("three", "row")) == first.ids[0] == second.ids[1]


def test_without_its_master_key_a_key_is_not_read_and_none_is_made_in_its_place(
    keys: MasterKeys, tmp_path: Path
) -> None:
    text = keys.encrypt("sk-secret", "row")
    (tmp_path / FILE).rename(tmp_path / "aside")
    lost = MasterKeys(tmp_path)
    with pytest.raises(MasterKeyError, match=f"master key {master_key_of(text)} is not here") as refused:
        lost.decrypt(text, "row")
    assert str(tmp_path / FILE) in refused.value.remedy
    assert "llmws keys rotate" in refused.value.remedy
    with pytest.raises(MasterKeyError, match="is not here"):
        lost.ensure([text])
    assert not (tmp_path / FILE).exists()
    # A running service finds it again, too.
    (tmp_path / "aside").rename(tmp_path / FILE)
    assert lost.decrypt(text, "row") == "sk-secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(keys: MasterKeys, tmp_path: Path, mode: int) -> None:
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(MasterKeyError, match="Others may read") as refused:
        MasterKeys(tmp_path)
    assert f"chmod 600 {tmp_path / FILE}" in refused.value.remedy


@pytest.mark.parametrize("wrong", ["password", OTHER[:-4], f"{OTHER},ü", "=" * 44])
def test_what_is_no_master_key_is_refused_without_repeating_it(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(MasterKeyError, match="LLMWS_MASTER_KEY holds what is no master key") as refused:
        MasterKeys(tmp_path, wrong)
    assert wrong not in str(refused.value)
    assert "openssl rand" in refused.value.remedy
    (tmp_path / FILE).write_text("nonsense\n")
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(MasterKeyError, match=r"master\.key holds what is no master key"):
        MasterKeys(tmp_path)


# Rotation


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    settings.data.mkdir(exist_ok=True)
    store = Store.open(settings.database_url)
    yield store
    store.close()


async def fill(store: Store, keys: MasterKeys, count: int = 3) -> dict[str, str]:
    """Keys of one provider; what they say, by their ids."""
    await store.write(providers.create, "ada", new_id(), vendor="acme", name="Acme")
    keys.ensure([])
    said = {new_id(): f"sk-secret-{n}" for n in range(count)}
    for key_id, secret in said.items():
        await store.write(provider_keys.add, "acme", key_id, keys.encrypt(secret, key_id))
    return said


async def read(store: Store, keys: MasterKeys) -> dict[str, str]:
    return {key.id: keys.decrypt(key.ciphertext, key.id) for key in await store.read(provider_keys.all_of_them)}


async def test_a_rotation_encrypts_every_key_anew(settings: Settings, store: Store) -> None:
    keys = MasterKeys(settings.data)
    said = await fill(store, keys)
    before = keys.ids
    told = await master_keys.rotate(store, keys)
    assert (told["reencrypted"], told["unreadable"], tuple(told["forgotten"])) == (3, 0, before)
    assert told["items"] == [{"id": keys.ids[0], "current": True, "here": True, "keys": 3}]
    assert await read(store, MasterKeys(settings.data)) == said
    assert before[0] not in MasterKeys(settings.data).ids


async def test_a_rotation_that_was_cut_off_is_run_again(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = await fill(store, MasterKeys(settings.data))
    with monkeypatch.context() as patch:
        patch.setattr(provider_keys, "reencrypt", _fail)
        with pytest.raises(RuntimeError):
            await master_keys.rotate(store, MasterKeys(settings.data))
    assert await read(store, MasterKeys(settings.data)) == said
    with monkeypatch.context() as patch:
        patch.setattr(MasterKeys, "keep", _fail)
        with pytest.raises(RuntimeError):
            await master_keys.rotate(store, MasterKeys(settings.data))
    assert await read(store, MasterKeys(settings.data)) == said
    told = await master_keys.rotate(store, MasterKeys(settings.data))
    assert len(told["forgotten"]) == 3
    assert await read(store, MasterKeys(settings.data)) == said
    assert len(MasterKeys(settings.data).ids) == 1


def _fail(*_: Any) -> Any:
    raise RuntimeError("cut off")


async def test_what_cannot_be_read_stays_until_its_master_key_comes_back(settings: Settings, store: Store) -> None:
    said = await fill(store, MasterKeys(settings.data))
    aside = (settings.data / FILE).rename(settings.data / "aside")
    told = await master_keys.rotate(store, MasterKeys(settings.data))
    assert (told["reencrypted"], told["unreadable"]) == (0, 3)
    assert [(one["here"], one["keys"]) for one in told["items"]] == [(True, 0), (False, 3)]
    with (settings.data / FILE).open("a") as file:
        file.write(aside.read_text())
    assert await read(store, MasterKeys(settings.data)) == said
    assert (await master_keys.rotate(store, MasterKeys(settings.data)))["reencrypted"] == 3


async def test_the_setting_s_new_first_key_is_rotated_to(settings: Settings, store: Store) -> None:
    said = await fill(store, MasterKeys(settings.data, OTHER))
    both = MasterKeys(settings.data, f"{YET_ANOTHER},{OTHER}")
    assert (await master_keys.rotate(store, both))["reencrypted"] == 3
    assert await read(store, MasterKeys(settings.data, YET_ANOTHER)) == said
    assert not (settings.data / FILE).exists()


@pytest.mark.parametrize("running", [True, False])
def test_the_command_rotates_while_a_service_runs_or_not(
    settings: Settings, running: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Settings, "from_environment", lambda: settings)

    def run(*arguments: str) -> Any:
        code = cli.main(["keys", *arguments, "--json"])
        told = capsys.readouterr()
        assert not told.err
        return code, json.loads(told.out)

    def both() -> None:
        code, first = run("rotate")
        assert (code, len(first["items"])) == (0, 1)
        assert run("status")[1]["items"] == first["items"]
        code, second = run("rotate")
        assert second["forgotten"] == [first["items"][0]["id"]]
        assert cli.main(["keys", "status"]) == 0
        assert second["items"][0]["id"] in capsys.readouterr().out

    if running:
        with running_service(settings):
            both()
    else:
        both()


def test_a_service_refuses_a_file_that_others_may_read(settings: Settings) -> None:
    settings.data.mkdir()
    MasterKeys(settings.data).add()
    (settings.data / FILE).chmod(0o644)
    with pytest.raises(MasterKeyError, match="Others may read"), running_service(settings):
        pass


# Where a master key, or a key, must not get


def test_a_master_key_is_for_the_service_alone() -> None:
    settings = Settings(master_key=OTHER)
    assert OTHER not in repr(settings)
    assert OTHER not in settings.to_environment().values()
    assert settings.to_environment(of_service=True)["LLMWS_MASTER_KEY"] == OTHER
    environment = {"LLMWS_MASTER_KEY": OTHER, "HOME": "/"}
    forget_master_key(environment)
    assert environment == {"HOME": "/"}


def test_a_secret_is_hidden_in_every_form_that_gives_it_away() -> None:
    secret = "sk-+/secret?1"
    redaction = Redaction()
    redaction.hide(secret)
    for form in forms_of(secret):
        assert redaction.of(f"a {form} b") == "a [key] b"
    for before in ("", "u", "us", "user:"):
        text = base64.b64encode(f"{before}{secret} and more".encode()).decode()
        assert "[key]" in redaction.of(text)
        assert base64.b64encode(secret.encode()).decode()[4:-4] not in redaction.of(text)


def test_only_so_many_secrets_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmws.redaction.MOST", 2)
    redaction = Redaction()
    for secret in ("secret-1", "secret-2", "secret-1", "secret-3"):
        redaction.hide(secret)
    assert redaction.of("secret-1 secret-2 secret-3") == "[key] secret-2 [key]"


def test_a_log_line_and_its_traceback_hold_no_key() -> None:
    KNOWN.hide("sk-in-the-log-1")
    try:
        raise Error("The server said sk-in-the-log-1.")
    except Error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "key %s", ("sk-in-the-log-1",), sys.exc_info())
    text = LogFormatter().format(record)
    assert "Traceback" in text
    assert "sk-in-the-log-1" not in text
