"""Accounts as the hub has them: who may sign in, how fast one may guess, and that nobody can keep another out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from llmws.errors import Conflict, InvalidRequest, NotAuthenticated, NotFound, StoreError, Unavailable
from llmws.hub import accounts as module
from llmws.hub import rules
from llmws.hub.accounts import Accounts
from llmws.store import accounts as rows

PASSWORD = "a battery of horses"
HOME, CAFE, ELSEWHERE = "192.0.2.7", "198.51.100.9", "203.0.113.5"


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost next to nothing, for tests that make hundreds."""
    monkeypatch.setattr(rules, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def accounts(tmp_path: Path, cheap: None) -> Iterator[Accounts]:
    accounts = Accounts.open(tmp_path)
    yield accounts
    accounts.close()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock."""
    ahead = 0.0

    class Clock:
        @staticmethod
        def time() -> float:
            return time.time() + ahead

    monkeypatch.setattr(rows, "time", Clock)
    monkeypatch.setattr(module, "time", Clock)

    def move(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    return move


def join(accounts: Accounts, name: str, password: str = PASSWORD) -> None:
    accounts.sign_up(name, password, address=name)
    accounts.approve(name, by="grace")


def test_an_account_is_good_from_its_approval_until_it_is_disabled(accounts: Accounts) -> None:
    accounts.sign_up("Ada", PASSWORD, HOME)
    assert accounts.verify("ada", PASSWORD, HOME).name is None
    accounts.approve("ada", by="grace")
    assert accounts.verify("ADA", PASSWORD, HOME).name == "ada"
    assert accounts.verify(" ａｄａ ", PASSWORD, HOME).name == "ada"
    assert accounts.verify("ada", PASSWORD + " ", HOME).name is None
    accounts.disable("ada")
    assert (accounts.verify("ada", PASSWORD, HOME).name, accounts.is_active("ada")) == (None, False)
    accounts.enable("ada")
    assert accounts.verify("ada", PASSWORD, HOME).name == "ada"


def test_a_refused_account_is_none(accounts: Accounts) -> None:
    accounts.sign_up("ada", PASSWORD, HOME)
    accounts.refuse("ada")
    assert accounts.verify("ada", PASSWORD, HOME).name is None
    with pytest.raises(NotFound):
        accounts.approve("ada", by="grace")


@pytest.mark.parametrize("name", ["ada", "ADA", "Ａda", "ａｄａ", " ada ", "aDa"])
def test_nobody_signs_up_as_somebody_who_is_there_or_was(accounts: Accounts, name: str) -> None:
    join(accounts, "ada")
    for _ in range(2):
        with pytest.raises(Conflict, match="cannot be used"):
            accounts.sign_up(name, "something else entirely", ELSEWHERE)
        accounts.disable("ada")
    accounts.enable("ada")
    assert accounts.verify("ada", PASSWORD, HOME).name == "ada"


@pytest.mark.parametrize(
    "name",
    [
        "admin",
        "ROOT",
        "Ｓervice",
        "llmws",
        "hub",
        "",
        "..",
        "a/b",
        "2ada",
        "-ada",
        "a" * 33,
        "аda",
        "ada\x00",
        "a\ud800",
    ],
)
def test_some_names_are_for_nobody(accounts: Accounts, name: str) -> None:
    with pytest.raises(InvalidRequest):
        accounts.sign_up(name, PASSWORD, HOME)
    assert accounts.verify(name, PASSWORD, HOME).name is None
    assert accounts.all() == []


@pytest.mark.parametrize(
    "password",
    ["", "ninechars", "engineer.ada", "ENGINEER.ADA2026", "ada.reenigne", "Password123", "aaaaaaaaaaaaa", "x y" * 342],
)
def test_some_passwords_are_no_good(accounts: Accounts, password: str) -> None:
    with pytest.raises(InvalidRequest, match="password"):
        accounts.sign_up("engineer.ada", password, HOME)


@pytest.mark.parametrize("password", ["correct horse", "只有我知道的那句话啊呀", "ångström ångström", "horse" * 204])
def test_a_good_password_is_one_however_it_is_typed(accounts: Accounts, password: str) -> None:
    join(accounts, "ada", password)
    decomposed = password.replace("å", "a\u030a").replace("ö", "o\u0308")
    assert accounts.verify("ada", decomposed, HOME).name == "ada"
    assert accounts.verify("ada", password.upper() + "x", HOME).name is None


def test_a_password_is_kept_as_a_hash_that_keeps_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    accounts = Accounts.open(tmp_path)
    join(accounts, "ada")
    before = accounts.get("ada").password_hash
    monkeypatch.setattr(rules, "_hasher", PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert accounts.verify("ada", "wrong" * 3, HOME).name is None
    assert accounts.get("ada").password_hash == before
    assert accounts.verify("ada", PASSWORD, HOME).name == "ada"
    after = accounts.get("ada").password_hash or ""
    assert "$argon2id$" in after
    assert "t=2" in after
    assert accounts.verify("ada", PASSWORD, HOME).name == "ada"
    accounts.close()
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert PASSWORD.encode() not in files


def test_numbers_stay_with_their_names(accounts: Accounts, tmp_path: Path) -> None:
    join(accounts, "ada")
    numbers = [accounts.uid(name) for name in ("ada", "by-oidc@example.org", "ada")]
    assert numbers == [200_000, 200_001, 200_000]
    accounts.disable("ada")
    accounts.close()
    again = Accounts.open(tmp_path)
    assert [again.uid(name) for name in ("new", "ada")] == [200_002, 200_000]
    assert again.verify("by-oidc@example.org", "", HOME).name is None
    again.close()


def test_guessing_gets_slow_and_a_restart_does_not_help(
    accounts: Accounts, tmp_path: Path, later: Callable[[float], None]
) -> None:
    join(accounts, "ada")
    looked_at = 0
    for _ in range(100):
        looked_at += not accounts.verify("ada", "wrong guess", ELSEWHERE).refused_s
    assert looked_at == 5
    accounts.close()
    again = Accounts.open(tmp_path)
    assert again.verify("ada", PASSWORD, ELSEWHERE).refused_s > 0
    # A day of trying as fast as is allowed: the first five, a minute of doubling, then one each quarter of an hour.
    guesses = 0
    for _ in range(24 * 60):
        later(60)
        guesses += not again.verify("ada", "wrong guess", ELSEWHERE).refused_s
    assert 90 < guesses < 160
    again.close()


def test_one_address_cannot_try_everybody(accounts: Accounts) -> None:
    tried = [accounts.verify(f"person{number}", "spring 2026", ELSEWHERE) for number in range(200)]
    assert sum(not outcome.refused_s for outcome in tried) == 30
    # An IPv6 customer has more addresses than there are seconds.
    tried = [accounts.verify(f"person{n}", "spring 2026", f"2001:db8:1:2::{n:x}") for n in range(1, 201)]
    assert sum(not outcome.refused_s for outcome in tried) == 30
    assert not accounts.verify("person1", "spring 2026", "2001:db8:1:3::1").refused_s


def test_a_thousand_failures_from_elsewhere_keep_nobody_out(accounts: Accounts) -> None:
    join(accounts, "ada")
    for number in range(1_000):
        accounts.verify("ada", "wrong guess", f"203.0.{number // 200}.{number % 200}")
    victim = accounts.verify("ada", PASSWORD, HOME)
    assert (victim.name, victim.refused_s) == ("ada", 0.0)
    assert 0 < victim.wait_s <= 5


def test_a_browser_that_was_there_before_is_not_kept_out_even_from_the_same_address(accounts: Accounts) -> None:
    join(accounts, "ada")
    for _ in range(1_000):
        accounts.verify("ada", "wrong guess", HOME)
    assert accounts.verify("ada", PASSWORD, HOME).refused_s > 0
    assert accounts.verify("ada", PASSWORD, HOME, device="d1").name == "ada"
    assert accounts.verify("ada", PASSWORD, HOME, device="d1").wait_s == 0
    # Whoever has stolen it guesses no faster with it.
    looked_at = [not accounts.verify("ada", "wrong guess", f"203.0.113.{n}", device="d2").refused_s for n in range(100)]
    assert sum(looked_at) == 5


def test_signing_in_now_and_then_does_not_buy_more_guesses(accounts: Accounts, later: Callable[[float], None]) -> None:
    join(accounts, "eve")
    guesses = 0
    for number in range(300):
        guesses += not accounts.verify(f"person{number}", "spring 2026", ELSEWHERE).refused_s
        accounts.verify("eve", PASSWORD, ELSEWHERE)
    assert guesses <= 30


def test_many_attempts_at_once_are_counted_one_by_one(accounts: Accounts) -> None:
    join(accounts, "ada")
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(lambda _: accounts.verify("ada", "wrong guess", ELSEWHERE), range(100)))
    assert sum(not outcome.refused_s for outcome in outcomes) == 5


def test_the_answer_does_not_tell_who_is_there(accounts: Accounts) -> None:
    join(accounts, "ada")
    join(accounts, "gone")
    accounts.disable("gone")
    accounts.sign_up("waits", PASSWORD, HOME)
    told = [
        [
            (outcome.name, outcome.refused_s > 0, outcome.wait_s)
            for outcome in (accounts.verify(name, "wrong guess", f"203.0.{place}.{number % 3}") for number in range(40))
        ]
        for place, name in enumerate(("ada", "gone", "waits", "nobody"))
    ]
    assert told[0] == told[1] == told[2] == told[3]
    assert len(set(told[0])) > 3


def test_to_refuse_costs_one_hash_of_the_same_kind_whatever_the_name(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what takes the time, so that how long a refusal takes does not say which names there are."""
    join(accounts, "ada")
    join(accounts, "gone")
    accounts.disable("gone")
    accounts.sign_up("waits", PASSWORD, HOME)
    kinds: list[str] = []
    matches = rules.matches

    def counted(kept: str, password: str) -> bool:
        kinds.append(kept.rsplit("$", 2)[0])
        return matches(kept, password)

    monkeypatch.setattr(rules, "matches", counted)
    names = ("ada", "nobody", "gone", "waits", "no such name")
    for place, name in enumerate(names):
        # The right password where there is one: not even that may show.
        outcome = accounts.verify(name, "wrong" if name == "ada" else PASSWORD, f"203.0.{place}.1")
        assert outcome.name is None
    assert len(kinds) == len(names)
    assert len(set(kinds)) == 1


def test_sign_ups_come_slowly_from_one_address_and_end_somewhere(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        accounts.sign_up(f"person{number}", PASSWORD, ELSEWHERE)
    with pytest.raises(Unavailable, match="your address"):
        accounts.sign_up("person10", PASSWORD, ELSEWHERE)
    monkeypatch.setattr(module, "MOST_WAITING", 10)
    with pytest.raises(Unavailable, match="wait for an administrator"):
        accounts.sign_up("ada", PASSWORD, HOME)


def test_the_first_link_makes_one_administrator(accounts: Accounts, later: Callable[[float], None]) -> None:
    older, code = accounts.offer_code(), accounts.offer_code()
    for wrong in ("", older, code[:-1]):
        with pytest.raises(NotAuthenticated):
            accounts.use_code(wrong, "grace", PASSWORD)
    with pytest.raises(InvalidRequest):
        accounts.use_code(code, "grace", "short")
    assert accounts.use_code(code, "Grace", PASSWORD).state == "active"
    assert accounts.verify("grace", PASSWORD, HOME).name == "grace"
    with pytest.raises(NotAuthenticated):
        accounts.use_code(code, "eve", PASSWORD)
    late = accounts.offer_code()
    later(module.CODE_LASTS_S + 1)
    with pytest.raises(NotAuthenticated):
        accounts.use_code(late, "eve", PASSWORD)


def test_a_code_whose_name_is_taken_is_not_used_up(accounts: Accounts) -> None:
    join(accounts, "ada")
    code = accounts.offer_code()
    with pytest.raises(Conflict):
        accounts.use_code(code, "ada", "something else entirely")
    assert accounts.verify("ada", PASSWORD, HOME).name == "ada"
    assert accounts.use_code(code, "grace", PASSWORD).name == "grace"


def test_nobody_else_can_read_the_accounts(accounts: Accounts, tmp_path: Path) -> None:
    join(accounts, "ada")
    assert {file.name: oct(file.stat().st_mode & 0o077) for file in tmp_path.glob("accounts.db*")} == {
        file.name: "0o0" for file in tmp_path.glob("accounts.db*")
    }


def test_a_database_that_is_none_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "accounts.db").write_text("not a database, " * 100)
    with pytest.raises(StoreError, match="not a database"):
        Accounts.open(tmp_path)
