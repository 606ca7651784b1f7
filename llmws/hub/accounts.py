"""The accounts of a hub: who may sign in, with which password, and which number is theirs.

They lie in `accounts.db` in the hub's own folder, which is root's alone, apart from what the service remembers. All
of this blocks for some milliseconds, and for the time of an argon2 hash where there is a password: on an event loop,
call it in a thread.

**How many attempts are too many.** They are counted in the database, so that a restart forgives nothing. Each count
forgives an attempt after a while, and each wait doubles up to its end.

=====================  ====================  =============================================  =====================
counted for            attempts that cost    then                                           forgiven
                       nothing
=====================  ====================  =============================================  =====================
account and address    5                     refused for 1 s … 15 min                       one each 10 min
address                30                    refused for 1 s … 5 min                        one each minute
account                10                    answered later, by 0.5 … 5 s, never refused    one each minute
account and browser    5                     refused for 1 s … 15 min                       one each 10 min
sign-ups of an address 10                    refused for 1 s … 15 min                       one each 10 min
=====================  ====================  =============================================  =====================

Nobody from elsewhere can keep a person out: what they do to the account costs that person five seconds. A browser
that has signed in to an account before brings a signed cookie, `device`, and is counted by itself (the "device
cookies" of OWASP), so that not even somebody behind the same address, or a proxy that hides all of them, keeps it
out. An IPv6 address stands for its /64, which is what one customer gets. Against very many addresses (and a program
on this machine reaches the hub past its proxy, and may call itself any) this is no defence beyond the length of the
password and the two hashes at a time that the authenticator computes.

A name that nobody has costs the same time, and gets the same answers, as one that somebody has.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..errors import Conflict, NotAuthenticated, Unavailable
from ..store import accounts as rows
from ..store.accounts import Account, Limit
from ..store.sqlite import SQLite
from . import rules
from .state import FIRST_PERSON

CODE_LASTS_S = 86_400.0
MOST_WAITING = 200

_ACCOUNT_AND_ADDRESS = Limit(free=5, first_s=1, most_s=900, forgive_s=600)
_ADDRESS = Limit(free=30, first_s=1, most_s=300, forgive_s=60)
_ACCOUNT = Limit(free=10, first_s=0.5, most_s=5, forgive_s=60, refuses=False)
_SIGN_UPS = Limit(free=10, first_s=1, most_s=900, forgive_s=600)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt to sign in ended.

    `name` is who it is, or None. `refused_s` is the wait before another attempt will be looked at, where this one was
    not; `wait_s` is how long to hold back the answer, good or bad.
    """

    name: str | None = None
    refused_s: float = 0.0
    wait_s: float = 0.0


class Accounts:
    """The open accounts of a hub. Any thread may call it, and several processes may have it open.

    Example::

        accounts = Accounts.open(Path("/var/lib/llmws/hub"))
        accounts.sign_up("ada", "a battery of horses", address="192.0.2.7")
        accounts.approve("ada", by="grace")
        accounts.verify("Ada", "a battery of horses", address="192.0.2.7").name  # 'ada'
        accounts.uid("ada")  # 200000
    """

    def __init__(self, database: SQLite) -> None:
        self._database = database
        # What the password of somebody unknown is compared with; nobody has the password of this one.
        self._nobody = rules.hash_password(secrets.token_hex(32))

    @classmethod
    def open(cls, folder: Path) -> Accounts:
        """Open the accounts of the hub that keeps its own in `folder`, making or migrating them as needed.

        Raises `StoreError` where that cannot be.
        """
        database = SQLite(folder / "accounts.db")
        try:
            database.open()
        except Exception as error:
            database.close()
            raise database.explain(error) from error
        return cls(database)

    def close(self) -> None:
        """Let the database go."""
        self._database.close()

    def uid(self, name: str) -> int:
        """The user id of this person's processes and files, the same for ever and nobody else's.

        Who signs in elsewhere (OIDC) gets an account without a password here. `name` is the hub's, as it stands.
        """
        return self._do(rows.uid, name, FIRST_PERSON)

    def find(self, name: str) -> Account | None:
        """The account of this name, in whatever spelling, or None."""
        return self._do(rows.find, rules.normal_name(name))

    def get(self, name: str) -> Account:
        """The account of exactly this name, or `NotFound`."""
        return self._do(rows.get, name)

    def is_active(self, name: str) -> bool:
        """Whether this person may be signed in."""
        account = self.find(name)
        return account is not None and account.state == "active"

    def all(self) -> Sequence[Account]:
        """Every account, the longest there first."""
        return self._do(rows.page)

    def waiting(self) -> Sequence[Account]:
        """Those who signed up and wait for an administrator, the longest there first."""
        return self._do(rows.page, "waiting")

    def sign_up(self, name: str, password: str, address: str, taken: bool = False) -> Account:
        """Ask for an account, which then waits.

        Args:
            taken: whether the hub itself knows somebody of this name, who may have no account here.

        Raises:
            InvalidRequest: nobody can have this name or password.
            Conflict: somebody has this name, or had it.
            Unavailable: this address asked too often, or too many wait.
        """
        name = rules.check_new_name(name)
        rules.check_new_password(password, name)
        admission = self._do(rows.attempt, {_key("sign-ups", _network(address)): _SIGN_UPS})
        if admission.refused_s:
            raise Unavailable("Too many sign-ups came from your address.", remedy="Try again in a quarter of an hour.")
        if len(self.waiting()) >= MOST_WAITING:
            raise Unavailable("Too many sign-ups wait for an administrator.", remedy="Ask an administrator.")
        if taken or self.find(name) is not None:
            raise Conflict("This name cannot be used.", remedy="Choose another one.")
        return self._do(rows.request, name, rules.hash_password(password))

    def verify(self, name: str, password: str, address: str, device: str | None = None) -> Outcome:
        """Look whether this is the password of an active account, in the same time for every name.

        Args:
            name: what was typed.
            password: what was typed.
            address: where it came from.
            device: names a browser that has signed in to this very account before. The caller has made sure of it.
        """
        name = rules.normal_name(name)
        limits, own = _limits(name, address, device)
        admission = self._do(rows.attempt, limits)
        if admission.refused_s:
            return Outcome(refused_s=admission.refused_s)
        account = self._do(rows.find, name) if rules.is_name(name) else None
        kept = account.password_hash if account is not None else None
        right = rules.matches(kept or self._nobody, password)
        if not (right and account is not None and kept is not None and account.state == "active"):
            return Outcome(wait_s=admission.wait_s)
        self._do(rows.forgive, limits, [own])
        if rules.is_outdated(kept):
            self._do(rows.set_password_hash, name, rules.hash_password(password))
        return Outcome(name, wait_s=admission.wait_s)

    def approve(self, name: str, by: str) -> Account:
        """Let who waits sign in from now on; `NotFound` or `Conflict` where nobody of this name waits."""
        return self._do(rows.approve, name, by)

    def refuse(self, name: str) -> None:
        """Turn down who waits; the name is free again."""
        self._do(rows.refuse, name)

    def disable(self, name: str) -> Account:
        """Let the person sign in no more. The name and the uid stay theirs. To end what runs is the caller's part."""
        return self._do(rows.disable, name)

    def enable(self, name: str) -> Account:
        """Undo `disable`."""
        return self._do(rows.enable, name)

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password, or raise `InvalidRequest` where it is no good one."""
        rules.check_new_password(password, name)
        self._do(rows.set_password_hash, name, rules.hash_password(password))

    def offer_code(self) -> str:
        """A new code by which, within a day, somebody may once become the first administrator. Older ones are void."""
        code = secrets.token_urlsafe(32)
        self._do(rows.offer_code, _key("code", code), time.time() + CODE_LASTS_S)
        return code

    def is_offered(self, code: str) -> bool:
        """Whether this code may still be used."""
        return self._do(rows.is_offered, _key("code", code))

    def use_code(self, code: str, name: str, password: str) -> Account:
        """Make the first administrator's account, active at once, and use the code up; both or neither.

        Raises:
            NotAuthenticated: the code is not, or no longer, good.
            InvalidRequest, Conflict: as `sign_up`.
        """
        if not self.is_offered(code):
            raise NotAuthenticated("This link has been used, or is too old.", remedy="Start the hub for a new one.")
        name = rules.check_new_name(name)
        rules.check_new_password(password, name)
        return self._do(_use_code, _key("code", code), name, rules.hash_password(password))

    def _do(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            # One that may write, also to read: what is read and then written is one transaction.
            with self._database.writing.begin() as connection:
                return function(connection, *args, **kwargs)
        except DBAPIError as error:
            raise self._database.explain(error) from error


def _use_code(connection: Connection, hash: str, name: str, password_hash: str) -> Account:
    rows.use_code(connection, hash)
    return rows.found(connection, name, password_hash)


def _limits(name: str, address: str, device: str | None) -> tuple[dict[str, Limit], str]:
    """What an attempt counts for, and the key that a sign-in clears."""
    if device is not None:
        own = _key("account and browser", name, device)
        return {own: _ACCOUNT_AND_ADDRESS}, own
    network = _network(address)
    own = _key("account and address", name, network)
    limits = {own: _ACCOUNT_AND_ADDRESS, _key("address", network): _ADDRESS, _key("account", name): _ACCOUNT}
    return limits, own


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
