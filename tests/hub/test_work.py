"""What a team does on a hub at once: dashboards, notebooks, a fine-tune, programs at the gateway, signing out."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmws.hub.state import SERVICE, TRAINER

from .running import Kernel, Person, RunningHub, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
SignIn = Callable[[str], Person]

CHAT = "import llmws; client = llmws.connect(); print(client.chat('Name three moons.', model='echo', show=False).text)"
TUNE = """
job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=6, save_steps=2)).wait()
print(job.state, job.about["folder"], job.serve())
print(client.chat("Hello", model=job.model, max_tokens=4, show=False).model)
"""
TOKEN = "import os; print(os.environ['LLMWS_URL'], os.environ['LLMWS_TOKEN'])"


def at_lab(person: Person) -> Kernel:
    person.open_server()
    return person.start_kernel()


def program(kernel: Kernel) -> httpx.Client:
    """A program of a person's own, with the address and the token that their kernel has."""
    url, token = kernel.run(TOKEN).split()
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False)


def say(api: httpx.Client, model: str = "echo", **extra: Any) -> httpx.Response:
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, **extra}
    return api.post("/v1/chat/completions", json=asked)


def test_a_fine_tune_is_trained_by_one_account_and_served_by_another(hub: RunningHub, sign_in: SignIn) -> None:
    kernel = at_lab(sign_in("rita"))
    assert kernel.run(CHAT) == "Name three moons.\n"
    told = kernel.run(TUNE)
    ended = re.match(r"finished (\S+) (\S+)\n(\S+)\n", told)
    assert ended is not None, told
    folder, model, answered = ended.groups()
    assert model == answered
    run = Path(folder).stat()
    assert (run.st_uid, run.st_gid, run.st_mode & 0o777) == (TRAINER, SERVICE, 0o750)
    # What rita tuned is hers, until she shares it.
    other = program(at_lab(sign_in("rolf")))
    assert say(other, model).status_code == 404
    assert kernel.run("print(job.share(person='rolf'))") == "['person rolf']\n"
    assert say(other, model).status_code == 200
    assert kernel.run("print(job.unshare(person='rolf'))") == "[]\n"
    assert say(other, model).status_code == 404
    other.close()


def test_three_people_work_at_once_and_see_their_own(hub: RunningHub, sign_in: SignIn) -> None:
    people = [sign_in(name) for name in ("rita", "rolf", "ann")]
    with ThreadPoolExecutor(3) as together:
        kernels = list(together.map(at_lab, people))
        code = "import llmws; llmws.connect().chats.create(model='echo', title='{0}').send('I am {0}.', show=False)"
        list(together.map(lambda pair: pair[1].run(code.format(pair[0].name)), zip(people, kernels, strict=True)))
    for person, kernel in zip(people, kernels, strict=True):
        titles = kernel.run("print(list(llmws.connect().chats.list().title))")
        assert person.name in titles
        assert not any(other.name in titles for other in people if other is not person)


def test_the_token_of_a_server_is_a_key_to_the_gateway(hub: RunningHub, sign_in: SignIn) -> None:
    api = program(at_lab(sign_in("rita")))
    assert "echo" in [model["id"] for model in api.get("/v1/models").json()["data"]]
    assert say(api).json()["choices"][0]["message"]["content"] == "Hello"
    # The same through the proxy, as a program on another machine would.
    token = api.headers["Authorization"]
    far = httpx.post(
        f"{hub.url}/services/llmws/v1/chat/completions",
        json={"model": "echo", "messages": [{"role": "user", "content": "Hello"}], "stream": True},
        headers={"Authorization": token},
        timeout=60,
    )
    assert far.text.count("data: ") > 2
    assert httpx.get(f"{hub.url}/services/llmws/v1/models", timeout=60).status_code == 401
    assert api.post("/api/shutdown").status_code == 403
    api.close()


def test_a_download_and_an_upload_pass_the_hub_s_door(hub: RunningHub, sign_in: SignIn) -> None:
    api = program(at_lab(sign_in("rita")))
    chat = api.post("/api/chats", json={"model": "echo", "title": "Moons"}).json()
    ticket = api.post("/api/tickets", json={"action": "download", "thing": f"chats/{chat['id']}"}).json()
    got = httpx.get(f"{hub.url}{ticket['path']}", timeout=60)
    assert got.status_code == 200
    assert got.text.startswith("# Moons")
    assert httpx.get(f"{hub.url}{ticket['path'][:-1]}", timeout=60).status_code == 403
    way_in = api.post("/api/tickets", json={"action": "upload", "thing": "attachments"}).json()["path"]
    sent = httpx.post(f"{hub.url}{way_in}&name=moons.csv", content=b"Io,3", timeout=60)
    assert (sent.status_code, sent.json()["media_type"]) == (201, "text/csv")
    assert api.get(f"/api/attachments/{sent.json()['id']}/content").content == b"Io,3"
    assert httpx.post(f"{hub.url}{way_in[:-1]}&name=moons.csv", content=b"x", timeout=60).status_code == 403
    api.close()


def test_signing_out_everywhere_ends_servers_tokens_and_streams_but_no_job(hub: RunningHub, sign_in: SignIn) -> None:
    person = sign_in("rolf")
    kernel = at_lab(person)
    api = program(kernel)
    job = api.post("/api/jobs", json={"base": "smollm2-135m", "dataset": "seafarer", "recipe": {"max_steps": 100_000}})
    assert job.status_code < 300, job.text
    wait_for(lambda: api.get(f"/api/jobs/{job.json()['id']}").json()["state"] == "running")
    chat = api.post("/api/chats", json={"model": "echo"}).json()
    ticket = api.post("/api/tickets", json={"action": "download", "thing": f"chats/{chat['id']}"}).json()
    assert httpx.get(f"{hub.url}{ticket['path']}", timeout=60).status_code == 200
    ended = threading.Event()

    def listen() -> None:
        with api.stream("GET", "/api/presence", timeout=None) as response:
            try:
                for _ in response.iter_raw():
                    pass
            except httpx.HTTPError:
                pass
        ended.set()

    listener = threading.Thread(target=listen)
    listener.start()
    uid = hub.uid("rolf")
    assert person.ask("POST", "/hub/sign-out-everywhere").status_code < 400
    wait_for(lambda: not hub.processes(uid))
    # A token is believed for a minute, a stream looked at twice in it.
    assert ended.wait(75)
    listener.join()
    wait_for(lambda: api.get("/api/chats").status_code == 401)
    wait_for(lambda: httpx.get(f"{hub.url}{ticket['path']}", timeout=60).status_code == 403)
    assert person.get("/hub/home").url.path == "/hub/login"
    again = sign_in("rolf")
    back = program(at_lab(again))
    mine = back.get(f"/api/jobs/{job.json()['id']}").json()
    assert mine["state"] == "running", json.dumps(mine)
    assert back.post(f"/api/jobs/{mine['id']}/stop").is_success
    wait_for(lambda: back.get(f"/api/jobs/{mine['id']}").json()["state"] == "stopped")
    api.close()
    back.close()
