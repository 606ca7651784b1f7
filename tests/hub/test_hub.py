"""A hub as its people meet it: everybody gets the right server, nobody reaches another's, and a restart loses nothing.

Needs root, setpriv, and a Python that all accounts can run.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from llmws.hub.state import CULLER, PROXY, SERVICE, TRAINER
from tests.ports import free_port

from .running import (
    CULLER_TOKEN,
    PLANTED,
    ROOT,
    Kernel,
    Person,
    RunningHub,
    command_of,
    execute,
    passable_folder,
    readable_python,
    wait_for,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
SignIn = Callable[[str], Person]

# What a kernel tries to read of others, and what it could reach of it; run in a kernel, whose own things are not meant.
SPY = r"""
import glob, json, os, socket
tried, reached = 0, []
def attempt(what, read):
    global tried
    tried += 1
    try:
        if read():
            reached.append(what)
    except OSError:
        pass
mine = os.getuid()
for process in glob.glob("/proc/[0-9]*"):
    try:
        other = os.stat(process).st_uid != mine
    except OSError:
        continue
    if other:
        for name in ("environ", "mem", "maps", "fd", "cwd", "root", "stack", "io"):
            path = f"{process}/{name}"
            if name == "fd":
                attempt(path, lambda: os.listdir(path) is not None)
            elif name in ("cwd", "root"):
                attempt(path, lambda: os.listdir(path) is not None)
            else:
                attempt(path, lambda: open(path, "rb").read(1))
for folder in FOLDERS:
    attempt(f"list {folder}", lambda: os.listdir(folder) is not None)
    attempt(f"write {folder}", lambda: open(f"{folder}/planted", "w"))
for file in FILES:
    attempt(f"read {file}", lambda: open(file, "rb").read(1))
    attempt(f"append {file}", lambda: open(file, "ab"))
for port in PORTS:
    def listen(port=port):
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            thief.bind(("127.0.0.1", port))
        return True
    attempt(f"listen on {port}", listen)
for act in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.kill(HUB, 0)):
    attempt("become another", lambda: act() is None)
print(json.dumps({"tried": tried, "reached": reached, "uid": mine, "groups": os.getgroups()}))
"""


def test_what_people_s_servers_begin_with_is_kept_compiled(hub: RunningHub) -> None:
    """They may not write beside the packages, and would compile all of it at every start."""
    code = "from importlib.util import cache_from_source, find_spec as f; print(cache_from_source(f('{0}').origin))"
    for name in ("voila.app", "llmws.hub.locked"):
        told = subprocess.run([hub.python, "-P", "-c", code.format(name)], capture_output=True, text=True, check=True)
        wait_for(Path(told.stdout.strip()).exists)


def test_each_part_has_an_account_of_its_own_and_no_more_rights_than_it_needs(hub: RunningHub) -> None:
    parts = {
        SERVICE: hub.part("llmws.service"),
        TRAINER: hub.part("llmws", "runner"),
        CULLER: hub.part("jupyterhub_idle_culler"),
        PROXY: hub.part("configurable-http-proxy"),
    }
    for uid, part in parts.items():
        assert part is not None
        told = Path(f"/proc/{part.pid}/status").read_text()
        assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s+{uid}\s+{uid}$", told, re.M), told
        assert re.search(r"^Groups:\s*$", told, re.M)
        assert re.search(r"^NoNewPrivs:\s+1$", told, re.M)
        # Nothing, or to listen on ports below 1024 (bit 10).
        assert int(re.search(r"^CapEff:\s+(\w+)$", told, re.M)[1], 16) in (0, 1 << 10)
        assert PLANTED.items().isdisjoint(part.environ().items())
        # Secrets do not stand where everybody can read them.
        secrets = {value for name, value in part.environ().items() if "TOKEN" in name}
        assert secrets
        assert not any(secret in word for secret in secrets for word in part.cmdline())


def test_the_state_folder_is_closed_to_others(hub: RunningHub) -> None:
    state = hub.state
    modes = {
        state.folder: (0o711, 0),
        state.hub: (0o700, 0),
        state.service: (0o700, SERVICE),
        state.runner: (0o2750, TRAINER),
        state.folder / "homes": (0o711, 0),
    }
    for path, (mode, uid) in modes.items():
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) == (mode, uid)
    for file in state.hub.iterdir():
        assert file.stat().st_uid == 0


def test_a_researcher_gets_lab_with_notebooks_of_their_own(hub: RunningHub, sign_in: SignIn) -> None:
    rita = sign_in("rita")
    page = rita.open_server()
    assert page.url.path == "/user/rita/lab/tree/welcome.ipynb"
    assert "jupyter-config-data" in page.text
    names = {entry["name"] for entry in rita.ask("GET", "/user/rita/api/contents/").json()["content"]}
    assert {"welcome.ipynb", "chat.ipynb", "dashboards"} <= names
    assert "uid" in rita.start_kernel().run("import os; print('uid', os.getuid())")


def test_a_kernel_is_connected_to_the_service_as_its_person(hub: RunningHub, sign_in: SignIn) -> None:
    rita = sign_in("rita")
    rita.open_server()
    code = "import llmws\nclient = llmws.connect()\nprint(client.chat('Ahoy', model='echo').text)\nprint(client.url)"
    told = rita.start_kernel().run(code)
    assert "Ahoy" in told
    assert f"http://127.0.0.1:{hub.state.ports().service}/services/llmws" in told


def test_a_business_user_gets_the_cards(hub: RunningHub, sign_in: SignIn) -> None:
    page = sign_in("bob").open_server()
    assert page.url.path == "/user/bob/"
    assert re.findall("<strong>(.*)</strong>", page.text) == ["Chat", "Compare", "Usage"]
    assert "Sign out" in page.text


def test_who_is_in_no_group_gets_no_server(hub: RunningHub, sign_in: SignIn) -> None:
    page = sign_in("nils").open_server()
    assert page.status_code == 403
    assert "in no group" in page.text
    assert hub.processes(hub.uid("nils")) == []


def test_an_administrator_administers_in_a_server_of_its_own(hub: RunningHub, sign_in: SignIn) -> None:
    ann = sign_in("ann")
    ann.open_server()
    ann.open_server("admin")
    every_day, administering = (ann.start_kernel(server) for server in ("", "admin"))
    ask = "import os, urllib.request as u, json\n"
    ask += "token = {'Authorization': 'token ' + os.environ['LLMWS_TOKEN']}\n"
    ask += "told = json.load(u.urlopen(u.Request(os.environ['JUPYTERHUB_API_URL'] + '/user', headers=token)))\n"
    ask += "print(json.dumps([os.getuid(), os.environ['HOME'], told['scopes']]))"
    uid, home, scopes = json.loads(every_day.run(ask))
    admin_uid, admin_home, admin_scopes = json.loads(administering.run(ask))
    assert "custom:llmws:train" in scopes
    assert "custom:llmws:admin" not in scopes
    assert "custom:llmws:admin" in admin_scopes
    assert not {"admin:users", "admin:servers", "list:users"} & {scope.partition("!")[0] for scope in admin_scopes}
    assert (uid, home) != (admin_uid, admin_home)
    assert admin_uid != uid
    assert "PermissionError" in every_day.run(f"import os; os.listdir({admin_home!r})")


@pytest.mark.parametrize(("name", "server"), [("rita", "admin"), ("bob", "admin"), ("ann", "other"), ("rita", "x")])
def test_no_other_named_server_starts(hub: RunningHub, sign_in: SignIn, name: str, server: str) -> None:
    person = sign_in(name)
    before = hub.servers(name)
    answer = person.ask("POST", f"/hub/api/users/{name}/servers/{server}")
    assert answer.status_code in (400, 403), answer.text
    assert person.open_server(server).status_code in (400, 403)
    assert hub.servers(name) == before


@pytest.mark.parametrize("victim", ["rita", "bob", "ann"])
def test_a_server_is_for_its_person(hub: RunningHub, sign_in: SignIn, victim: str) -> None:
    sign_in(victim).open_server()
    rolf = sign_in("rolf")
    # Lab's Voilà shows its own static files to whoever asks; they are the same for all.
    for path in ("", "lab", "api/kernels", "api/contents/", "voila/render/chat.ipynb", "voila/files/x.png", "llmws/x"):
        assert rolf.get(f"/user/{victim}/{path}").status_code in (403, 404), path


def test_a_server_is_told_what_it_needs_and_nothing_else(hub: RunningHub, sign_in: SignIn) -> None:
    for name in ("rita", "bob"):
        sign_in(name).open_server()
        (server,) = hub.servers(name)
        environment = server.environ()
        allowed = ("JUPYTERHUB_", "JPY_API_TOKEN", "LLMWS_URL", "LLMWS_TOKEN", "JUPYTER_PATH", "JUPYTER_CONFIG_PATH")
        allowed += ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "PYTHONDONTWRITEBYTECODE")
        assert [name for name in environment if not name.startswith(allowed)] == []
        assert environment["LLMWS_TOKEN"] == environment["JUPYTERHUB_API_TOKEN"]
        assert not any(environment["LLMWS_TOKEN"] in word for word in server.cmdline())


@pytest.mark.parametrize("spy", ["rita", "ann"])
def test_a_kernel_reads_nothing_of_others(hub: RunningHub, sign_in: SignIn, spy: str) -> None:
    for name in ("rita", "rolf", "bob", "ann"):
        sign_in(name).open_server()
    ann = sign_in("ann")
    ann.open_server("admin")
    state = hub.state
    others = [state.home(name) for name in ("rita", "rolf", "bob", "ann") if name != spy]
    folders = [state.hub, state.service, state.runner, state.node, *others, state.home("ann", administrating=True)]
    files = [
        state.hub / name for name in ("jupyterhub.sqlite", "accounts.db", "cookie_secret", "runner_token", "hub.log")
    ]
    files += [state.service / "llmws.db", state.service / "service.json"]
    unwritable = [state.folder, ROOT / "llmws", ROOT / "notebooks" / "dashboards", hub.python.parent]
    person = sign_in(spy)
    person.open_server()
    kernel = person.start_kernel()
    ports = state.ports()
    told = {
        "FOLDERS": [str(folder) for folder in folders],
        "FILES": [str(file) for file in files],
        "PORTS": [ports.hub, ports.proxy, ports.service],
        "HUB": hub.process.pid,
    }
    setting = "\n".join(f"{name} = {value!r}" for name, value in told.items())
    found = json.loads(kernel.run(f"{setting}\n{SPY}"))
    # Programs are there to be run by all: the folder of Node can be listed, and not written.
    assert found["reached"] == [f"list {state.node}"]
    assert found["tried"] > 100
    assert found["groups"] in ([], [found["uid"]])
    writes = "import os\nfor path in PATHS:\n    print(os.access(path, os.W_OK))"
    assert "True" not in kernel.run(f"PATHS = {[str(path) for path in unwritable]!r}\n{writes}")
    print(f"{spy}: {found['tried']} attempts, 0 successes")


def test_nobody_can_listen_to_a_kernel(hub: RunningHub, sign_in: SignIn) -> None:
    """A kernel's messages are published to whoever connects: there must be no port to connect to."""
    for name in ("rita", "bob"):
        person = sign_in(name)
        person.open_server()
        if name == "rita":
            person.start_kernel()
        wait_for(
            lambda name=name: any(
                "ipykernel_launcher" in command_of(process) for process in hub.processes(hub.uid(name))
            )
        )
        for words in map(command_of, hub.processes(hub.uid(name))):
            if "ipykernel_launcher" in words:
                file = Path(words[words.index("-f") + 1])
                assert json.loads(file.read_text())["transport"] == "ipc"
                assert stat.S_IMODE(file.parent.stat().st_mode) & 0o077 == 0


def test_ending_a_server_ends_all_of_its_account(hub: RunningHub, sign_in: SignIn) -> None:
    rolf = sign_in("rolf")
    rolf.open_server()
    rolf.start_kernel().run("import subprocess; subprocess.Popen(['setsid', 'nohup', 'sleep', '1000'])")
    uid = hub.uid("rolf")
    assert any("sleep" in command_of(process) for process in hub.processes(uid))
    rolf.stop_server()
    wait_for(lambda: hub.processes(uid) == [])


def test_what_a_person_changed_is_kept(hub: RunningHub, sign_in: SignIn) -> None:
    rolf = sign_in("rolf")
    rolf.open_server()
    change = "os.unlink('finetune.ipynb'); open('welcome.ipynb', 'a').write('\\n')"
    assert rolf.start_kernel().run(f"import os; os.chdir(os.environ['HOME'] + '/notebooks'); {change}") == ""
    before = rolf.ask("GET", "/user/rolf/api/contents/welcome.ipynb").json()["size"]
    rolf.stop_server()
    rolf.open_server()
    names = {entry["name"]: entry for entry in rolf.ask("GET", "/user/rolf/api/contents/").json()["content"]}
    assert "finetune.ipynb" not in names
    assert names["welcome.ipynb"]["size"] == before


def test_the_culler_ends_the_idle_and_spares_who_works(hub: RunningHub, sign_in: SignIn) -> None:
    rita, bob, bea, rolf = (sign_in(name) for name in ("rita", "bob", "bea", "rolf"))
    for person in (rita, bob, bea, rolf):
        person.open_server()
    # One computes and prints nothing, one has a page that does something, two have theirs merely open.
    computing, kernel = rita.start_kernel(), bob.open_dashboard()
    computing.send("execute_request", execute("import time\nwhile True: time.sleep(0.1)"))
    open_page = bea.open_dashboard()
    done = threading.Event()

    def use() -> None:
        while not done.wait(0.5):
            kernel.send("comm_open", {"comm_id": os.urandom(8).hex(), "target_name": "nothing", "data": {}})

    using = threading.Thread(target=use)
    using.start()
    api = f"http://127.0.0.1:{hub.state.ports().hub}/hub/api"
    culler = subprocess.Popen(
        [str(hub.python), "-m", "jupyterhub_idle_culler", "--timeout=12", "--cull-every=2", f"--url={api}"],
        env={"PATH": os.environ["PATH"], "JUPYTERHUB_API_TOKEN": CULLER_TOKEN},
    )
    ann = sign_in("ann")
    try:
        wait_for(lambda: not runs(ann, "bea") and not runs(ann, "rolf"))
        assert runs(ann, "rita")
        assert runs(ann, "bob")
        done.set()
        using.join()
        computing.socket.close()
        rita.ask("DELETE", computing.path)
        wait_for(lambda: not runs(ann, "rita") and not runs(ann, "bob"))
    finally:
        done.set()
        culler.terminate()
        culler.wait()
        open_page.socket.close()


def test_a_restart_of_the_hub_keeps_servers_and_sign_in(hub: RunningHub, sign_in: SignIn) -> None:
    rita, bob = sign_in("rita"), sign_in("bob")
    rita.open_server()
    bob.open_server()
    kernel = rita.start_kernel()
    kernel.run("kept = 'what was there before'")
    before = {name: born(hub, name) for name in ("rita", "bob")}
    hub.stop()
    assert "keep running" in hub.output.read_text()
    assert {name: born(hub, name) for name in before} == before
    hub.start()
    assert "each under an account of their own" in hub.output.read_text()
    assert {name: born(hub, name) for name in before} == before
    # Nobody signs in again: the cookies of before are good, for the hub as for the servers.
    assert rita.get("/hub/home").url.path == "/hub/home"
    assert bob.get("/user/bob/").url.path == "/user/bob/"
    again = Kernel(rita, kernel.path)
    assert "what was there before" in again.run("print(kept)")
    assert "Ahoy" in again.run("import llmws; print(llmws.connect().chat('Ahoy', model='echo').text)")
    # It is the hub's server still: it can be ended.
    rita.stop_server()
    wait_for(lambda: hub.processes(hub.uid("rita")) == [])


def test_a_killed_hub_is_started_again_beside_nothing_of_its_own(hub: RunningHub, sign_in: SignIn) -> None:
    rita = sign_in("rita")
    rita.open_server()
    before = born(hub, "rita")
    parts = [hub.part(word) for word in ("llmws.service", "configurable-http-proxy", "jupyterhub_idle_culler")]
    assert hub.process is not None
    hub.process.kill()
    hub.process.wait()
    wait_for(lambda: not any(part is not None and part.is_running() for part in parts))
    hub.start()
    assert born(hub, "rita") == before
    assert rita.get("/user/rita/api/contents/").status_code == 200


@pytest.mark.parametrize("part", ["configurable-http-proxy", "llmws.service", "jupyterhub_idle_culler"])
def test_a_killed_part_is_started_again(hub: RunningHub, sign_in: SignIn, part: str) -> None:
    rita = sign_in("rita")
    rita.open_server()
    killed = hub.part(part)
    assert killed is not None
    killed.send_signal(signal.SIGKILL)
    wait_for(lambda: (found := hub.part(part)) is not None and found.pid != killed.pid)
    wait_for(lambda: answers(rita))
    assert "Ahoy" in rita.start_kernel().run("import llmws; print(llmws.connect().chat('Ahoy', model='echo').text)")


def test_a_second_hub_of_the_same_folder_is_refused(hub: RunningHub) -> None:
    assert "another hub runs from" in refused(hub, hub.state.folder)


def test_a_second_hub_that_gives_out_accounts_is_refused(hub: RunningHub) -> None:
    """Its first person would be the same account as ours."""
    with passable_folder() as folder:
        assert "another hub gives out accounts on this machine" in refused(hub, folder / "state")


def refused(hub: RunningHub, state: Path) -> str:
    """Why `llmws hub` does not start with this state folder."""
    settings = {"LLMWS_HUB_STATE": str(state), "LLMWS_HUB_PORT": str(free_port())}
    command = [str(hub.python), "-P", "-m", "llmws", "hub"]
    done = subprocess.run(command, env={**os.environ, **settings}, cwd="/", capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, ""), done
    return done.stderr


def runs(admin: Person, name: str) -> bool:
    return bool(admin.ask("GET", f"/hub/api/users/{name}").raise_for_status().json()["servers"])


def born(hub: RunningHub, name: str) -> list[tuple[int, float]]:
    found = hub.servers(name)
    assert found
    return [(process.pid, process.create_time()) for process in found]


def answers(person: Person) -> bool:
    try:
        return person.get("/services/llmws/healthz").is_success and person.get(f"{person.root}api").is_success
    except httpx.HTTPError:
        return False


def test_a_hub_that_is_not_roots_says_that_it_isolates_nothing(tmp_path: Path) -> None:
    """On the terminal and on the pages; it works all the same, for trying out."""
    with passable_folder() as folder:
        trial = RunningHub(folder, readable_python(folder), account=300_000)
        try:
            trial.start()
            assert "nothing keeps people apart" in trial.output.read_text()
            assert "nothing keeps the people on it apart" in httpx.get(f"{trial.url}/hub/login", timeout=60).text
            trial.stop()
            trial.settle()
            trial.start()
            rita = Person(trial, "rita")
            assert rita.open_server().url.path == "/user/rita/lab/tree/welcome.ipynb"
            assert "300000" in rita.start_kernel().run("import os; print(os.getuid())")
            assert "Chat" in Person(trial, "bob").open_server().text
        finally:
            trial.remove()
