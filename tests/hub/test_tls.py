"""What `docs/hub.md` puts in front of a hub, as it is written there: people sign in by TLS, answers stream, Lab works.

Besides what `test_hub.py` needs: nginx and Caddy (`scripts/tls`), openssl.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from .running import PASSWORD, Person, RunningHub, wait_for
from .test_docs import blocks

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
HOST = "hub.example.org"
# An address of this machine's own, where nothing else listens on the ports of the web.
ADDRESS = "127.0.77.1"
PATH = f"{os.environ['PATH']}:/usr/sbin"


def with_nginx(folder: Path, port: int) -> tuple[list[str], Path]:
    """The command that runs the page's block, and the certificate it shows."""
    (block,) = blocks("nginx")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}"]
    make += ["-addext", f"subjectAltName=DNS:{HOST}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True)
    for written, ours in {
        "listen 443 ssl;": f"listen {ADDRESS}:443 ssl;",
        "/etc/ssl/hub.example.org.pem": str(certificate),
        "/etc/ssl/private/hub.example.org.key": str(key),
        "http://127.0.0.1:8000;": f"http://127.0.0.1:{port};",
    }.items():
        assert block.count(written) == 1, written
        block = block.replace(written, ours)
    around = f"daemon off; pid {folder}/pid; error_log {folder}/log;\nevents {{}}\nhttp {{ access_log off;\n"
    file = folder / "nginx.conf"
    file.write_text(f"{around}{block}}}\n")
    return [_program("nginx"), "-e", f"{folder}/log", "-c", str(file)], certificate


def with_caddy(folder: Path, port: int) -> tuple[list[str], Path]:
    (block,) = blocks("caddy")
    assert block.count("127.0.0.1:8000") == 1
    # An authority of its own in place of one that would have to reach us; all else of the block is as it stands.
    ours = ("skip_install_trust", "local_certs", "admin off", "auto_https disable_redirects", f"default_bind {ADDRESS}")
    file = folder / "Caddyfile"
    file.write_text("\n".join(["{", *ours, "}", ""]) + block.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    command = [_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(file)]
    return command, folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"


def _program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found, f"This test needs {name}: run scripts/tls."
    return found


@pytest.fixture(scope="module")
def trusting(hub: RunningHub) -> Iterator[RunningHub]:
    """The hub, told what the page says of a proxy in front."""
    (told,) = blocks("trusted")
    config = hub.state.hub / "config.py"
    before = config.read_text()
    hub.stop()
    config.write_text(before + told)
    hub.start()
    yield hub
    hub.stop()
    config.write_text(before)
    hub.start()


@pytest.fixture(params=[with_nginx, with_caddy], ids=["nginx", "caddy"])
def front(
    request: pytest.FixtureRequest, trusting: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningHub]:
    """The hub behind one of them, by its name."""
    command, certificate = request.param(tmp_path, trusting.port)
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)},
        )
    found = socket.getaddrinfo

    def find(host: str, *more: object, **others: object) -> object:
        return found(ADDRESS if host == HOST else host, *more, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", find)

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "out").read_text()
        try:
            trusted = ssl.create_default_context(cafile=certificate)
            return httpx.get(f"https://{HOST}/hub/health", verify=trusted, trust_env=False).is_success
        except (OSError, httpx.TransportError):
            return False

    try:
        wait_for(answers)
        trusting.front, trusting.certificate = f"https://{HOST}", certificate
        yield trusting
    finally:
        trusting.front = trusting.certificate = None
        process.terminate()
        process.wait(20)


def test_people_work_behind_it(front: RunningHub) -> None:
    with closing(Person(front, "rita")) as rita:
        assert rita.open_server().url == f"https://{HOST}/user/rita/lab/tree/welcome.ipynb"
        # What is set in a browser is for TLS alone: the hub knows by which way it was asked.
        assert all(cookie.secure for cookie in rita.cookies.jar if cookie.name.startswith("jupyterhub-hub"))
        kernel = rita.start_kernel()
        assert kernel.run("print(6 * 7)") == "42\n"
        token = kernel.run("import os; print(os.environ['LLMWS_TOKEN'])").strip()
        # It would take a quarter of an hour to its end: what comes now streams.
        asked = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "Is there an echo?"}]}
        asked |= {"count": 10_000, "delay_s": 0.1}
        ask = rita.stream(
            "POST", "/services/llmws/v1/chat/completions", json=asked, headers={"Authorization": f"Bearer {token}"}
        )
        with ask as answer:
            assert answer.status_code == 200
            assert next(line for line in answer.iter_lines() if '"content"' in line)
        rita.stop_server()


def test_the_hub_knows_each_one_s_address_and_believes_no_browser_about_it(front: RunningHub) -> None:
    trusted = ssl.create_default_context(cafile=front.certificate)
    with httpx.Client(base_url=front.url, verify=trusted, trust_env=False, timeout=60) as browser:
        browser.get("/hub/login")
        xsrf = next(cookie.value for cookie in browser.cookies.jar if cookie.name == "_xsrf")
        form = {"username": "rita", "password": f"{PASSWORD}-not", "_xsrf": xsrf or ""}
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"}
        assert browser.post("/hub/login", data=form, headers=headers).status_code in (401, 403)
    assert "203.0.113.9" not in front.state.log.read_text()
