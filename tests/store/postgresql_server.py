"""A PostgreSQL server of the tests' own, on a Unix socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote

import psycopg

from llmws.store import upgrade

ROOT = Path(__file__).parents[2]
LIMIT_S = 60.0
_TEMPLATE = "upgraded"


class Server:
    """PostgreSQL with text sorted as an English dictionary does, and an account of which the password is random."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.password = secrets.token_urlsafe(16)
        self._programs = programs
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        # PostgreSQL refuses to be root.
        self._account = _account() if os.geteuid() == 0 else {}
        if self._account:
            shutil.chown(folder, self._account["user"], self._account["group"])
        (folder / "password").write_text(self.password)
        locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
        access = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync"]
        self._run("initdb", "-D", str(folder / "data"), *access, *locale)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            options = ["-k", str(self.folder), "-c", "listen_addresses=", "-c", "fsync=off"]
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                **self._account,
            )
        self.wait()

    def stop(self, by: signal.Signals = signal.SIGINT) -> None:
        """End it, and with SIGINT all connections."""
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(LIMIT_S)

    def wait(self) -> None:
        """Wait until it takes connections."""
        until = time.monotonic() + LIMIT_S
        while True:
            try:
                return self.connect("postgres").close()
            except psycopg.OperationalError:
                assert self._process is not None
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < until, (self.folder / "log").read_text()
                time.sleep(0.05)

    def address(self, database: str, password: str | None = None) -> str:
        where = quote(str(self.folder), safe="")
        return f"postgresql+psycopg://postgres:{password or self.password}@/{database}?host={where}"

    def connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.folder), user="postgres", password=self.password, dbname=database, autocommit=True
        )

    def ask(self, database: str, question: str, *values: object) -> list[Any]:
        with self.connect(database) as connection:
            return connection.execute(question.encode(), values or None).fetchall()

    @contextmanager
    def database(self, *, upgraded: bool = True, options: str = "") -> Iterator[str]:
        """A new database; its name."""
        if upgraded and self._made == 0:
            self._make(_TEMPLATE, "")
            upgrade(self.address(_TEMPLATE), lambda _line: None)
        self._made += upgraded
        name = f"test_{secrets.token_hex(4)}"
        self._make(name, f"TEMPLATE {_TEMPLATE}" if upgraded else options)
        try:
            yield name
        finally:
            with self.connect("postgres") as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def _make(self, name: str, options: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} {options}".encode())

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str | Path] = [self._programs / program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, **self._account)
        assert done.returncode == 0, done.stderr


@contextmanager
def running() -> Iterator[Server]:
    """A server for as long as the block lasts; without PostgreSQL's programs it fails, and says what helps."""
    found = subprocess.run([ROOT / "scripts" / "postgresql"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    # Not pytest's own folder, which only its owner may enter.
    folder = Path(mkdtemp(prefix="llmws-postgresql-"))
    server = Server(Path(found.stdout.strip()), folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _account() -> dict[str, Any]:
    account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
