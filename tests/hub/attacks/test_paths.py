"""Addresses: no path leads out of what a route shows, and no parameter changes how it is shown."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from .scene import SERVICE, Attempts, Scene, Wire

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

# Below a person's server; `TEMPLATE` is ours.
DASHBOARD_ROUTES = (
    "",
    "voila/files/",
    "voila/static/",
    "voila/templates/",
    "voila/templates/llmws/static/",
    "voila/templates/base/static/",
    "voila/labextensions/",
    "voila/api/themes/",
    "voila/api/contents/",
    "voila/render/",
    "voila/tree/",
    "llmws/",
    "llmws/chats/",
    "static/",
    "files/",
    "api/contents/",
    "api/kernels/",
    "voila/api/shutdown/",
)
LAB_ROUTES = (
    "",
    "files/",
    "api/contents/",
    "static/",
    "lab/extensions/",
    "lab/api/themes/",
    "lab/api/listings/",
    "lab/api/settings/",
    "lab/api/workspaces/",
    "lab/tree/",
    "voila/render/",
    "voila/static/",
    "voila/templates/llmws/static/",
    "voila/files/",
    "kernelspecs/",
    "nbconvert/html/",
    "view/",
    "llmws/",
)
HUB_ROUTES = ("/hub/look/", "/hub/static/", "/hub/", "/hub/api/", "/hub/logo", f"{SERVICE}/", f"{SERVICE}/door/")
HUB_ROUTES += (f"{SERVICE}/docs/", f"{SERVICE}/api/chats/", f"{SERVICE}/healthz/", "/")
# How a file of the machine is asked for; `FILE` is its absolute path without the first slash.
TRICKS = (
    "../" * 12 + "FILE",
    "..%2f" * 12 + "FILE",
    "%2e%2e/" * 12 + "FILE",
    "%2e%2e%2f" * 12 + "FILE",
    "%252e%252e%252f" * 12 + "FILE",
    "..%252f" * 12 + "FILE",
    "..%5c" * 12 + "FILE",
    "..\\" * 12 + "FILE",
    "..%2f..%5c" * 6 + "FILE",
    ".%2e/" * 12 + "FILE",
    "....//" * 12 + "FILE",
    "..;/" * 12 + "FILE",
    "%c0%ae%c0%ae%c0%af" * 12 + "FILE",
    "%uff0e%uff0e/" * 12 + "FILE",
    "x/" + "../" * 13 + "FILE",
    "chat.ipynb/" + "..%2f" * 13 + "FILE",
    "/FILE",
    "//FILE",
    "%2fFILE",
    "%2f%2fFILE",
    "%252fFILE",
    "%00/FILE",
    "../" * 12 + "FILE%00.png",
    "..%2f" * 12 + "FILE%00.ipynb",
    "../" * 12 + "FILE?.png",
    "../" * 12 + "FILE%23.png",
    "file:///FILE",
    "~root/FILE",
    "C:%5cFILE",
)


def _loot(scene: Scene) -> dict[str, str]:
    """Files of this machine that are nobody's business, and what shows that they were read."""
    state = scene.hub.state
    return {
        str(state.service / "llmws.db"): "SQLite format 3",
        str(state.hub / "jupyterhub.sqlite"): "SQLite format 3",
        str(state.hub / "runner_token"): state.secret("runner_token"),
        str(state.home("rita") / "private" / "mark.txt"): scene.marks["rita"],
        f"/proc/{scene.pids['rita']}/environ": scene.tokens["rita"],
        f"/proc/{scene.pids['rita']}/cwd/private/mark.txt": scene.marks["rita"],
        f"/proc/{scene.hub.process.pid if scene.hub.process else 1}/environ": "PLANTED_SECRET",
    }


@pytest.mark.parametrize("way", ["proxy", "port"])
def test_no_path_leads_out_of_what_a_dashboards_server_shows(scene: Scene, attempts: Attempts, way: str) -> None:
    wire = Wire(scene.hub.port if way == "proxy" else scene.ports["bob"])
    # Not even what the account could read is for the one who asks this server.
    own = {"/etc/passwd": "root:x:0:0", str(scene.hub.state.home("bob") / "private" / "mark.txt"): scene.marks["bob"]}
    _climb(
        attempts, wire, [f"/user/bob/{route}" for route in DASHBOARD_ROUTES], own, scene.cookies("bob", "/user/bob/")
    )


@pytest.mark.parametrize("way", ["proxy", "port"])
def test_no_path_leads_to_another_s_server_or_files(scene: Scene, attempts: Attempts, way: str) -> None:
    """Rolf may read what his account may; not Rita's files, nor the hub's."""
    wire = Wire(scene.hub.port if way == "proxy" else scene.ports["rolf"])
    others = dict(list(_loot(scene).items())[2:4])
    _climb(
        attempts, wire, [f"/user/rolf/{route}" for route in LAB_ROUTES], others, scene.cookies("rolf", "/user/rolf/")
    )


@pytest.mark.parametrize("way", ["proxy", "hub", "service"])
def test_no_path_leads_out_of_the_hub_s_and_service_s_pages(scene: Scene, attempts: Attempts, way: str) -> None:
    ports = scene.hub.state.ports()
    wire = Wire({"proxy": scene.hub.port, "hub": ports.hub, "service": ports.service}[way])
    state = scene.hub.state
    loot = {"/etc/passwd": "root:x:0:0", str(state.hub / "runner_token"): state.secret("runner_token")}
    _climb(attempts, wire, HUB_ROUTES, loot, scene.cookies("bob", "/hub/"))


def _climb(
    attempts: Attempts, wire: Wire, routes: Iterable[str], loot: dict[str, str], cookies: dict[str, str]
) -> None:
    for route, trick, (file, sign) in itertools.product(routes, TRICKS, loot.items()):
        target = route + trick.replace("FILE", file[1:])
        answer = wire.ask("GET", target, cookies)
        attempts.add(f"GET {target}", sign.encode() in answer.body and "read")


# From the server of one, along the proxy's routes, to that of another.
SIDESTEPS = (
    "/user/rolf/../rita/{}",
    "/user/rolf/..%2frita/{}",
    "/user/rolf%2f..%2frita/{}",
    "/user/%72ita/{}",
    "/user//rita/{}",
    "//user/rita/{}",
    "/user/RITA/{}",
    "/user/rita%00/{}",
    "/user/rita%20/{}",
    "/user/rolf@rita/{}",
    "/user/rolf;/../rita/{}",
    "/user/rita/../rolf/../rita/{}",
    "/hub/../user/rita/{}",
    "/services/llmws/../../user/rita/{}",
    "/user/rita./{}",
    "/user/r%69ta/{}",
    "/hub/user/rita/{}",
    "/hub/user-redirect/../../user/rita/{}",
    "/user/rita\\{}",
    "/user/rita#/{}",
)


def test_no_path_leads_aside_to_another_s_server(scene: Scene, attempts: Attempts) -> None:
    wires = [Wire(scene.hub.port), Wire(scene.ports["rita"]), Wire(scene.ports["rolf"])]
    signs = (scene.marks["rita"].encode(), b'"execution_state"', b'"content"', b"jupyter-config-data")
    for wire, sidestep, path in itertools.product(
        wires, SIDESTEPS, ("api/kernels", "api/contents/", "lab", "files/private/mark.txt", "")
    ):
        target = sidestep.format(path)
        for cookies in (scene.cookies("rolf", "/user/rolf/"), scene.cookies("bob", "/hub/"), {}):
            answer = wire.ask("GET", target, cookies)
            shown = answer.status == 200 and any(sign in answer.body for sign in signs)
            # Where the way leads back to one's own, that is no success.
            own = scene.marks["rolf"].encode() in answer.body or b'"user/rolf' in answer.body
            attempts.add(f"GET {target} at {wire.port}", shown and not own and "shown")


def test_a_link_shows_nothing_that_its_owner_may_not_read(scene: Scene, attempts: Attempts) -> None:
    """A researcher's server follows links of theirs, under their account; a business user's has no folder of theirs."""
    state, rolf = scene.hub.state, scene.people["rolf"]
    folder, uid = state.home("rolf") / "notebooks", scene.hub.uid("rolf")
    for number, (file, sign) in enumerate(_loot(scene).items()):
        for link, of in ((f"link-{number}.txt", file), (f"link-{number}", str(Path(file).parent))):
            (folder / link).unlink(missing_ok=True)
            (folder / link).symlink_to(of)
            os.chown(folder / link, uid, uid, follow_symlinks=False)
        for path in (f"link-{number}.txt", f"link-{number}/{Path(file).name}"):
            for route in ("files/", "api/contents/", "voila/files/", "nbconvert/html/", "view/"):
                answer = rolf.ask("GET", f"/user/rolf/{route}{path}")
                attempts.add(f"{route}{path} -> {file}", sign in answer.text and "read")
            written = rolf.ask("PUT", f"/user/rolf/api/contents/{path}", json=_text("planted"))
            attempts.add(f"write {path} -> {file}", written.status_code < 400 and written.status_code)
    assert (state.home("rita") / "private" / "mark.txt").read_text() == scene.marks["rita"]


def _text(content: str) -> dict[str, str]:
    return {"type": "file", "format": "text", "content": content}


PARAMETERS = (
    "voila-template=base",
    "voila-template=lab",
    "voila-template=planted",
    "voila-template=../../../../../../..{home}/.local/share/jupyter/voila/templates/planted",
    "voila-template=%2e%2e%2f",
    "voila-template={home}/.local/share/jupyter/voila/templates/planted",
    "voila_template=planted",
    "template=planted",
    "voila-theme=dark",
    "voila-theme=light",
    "voila-theme=planted",
    "voila-theme=\"><script>alert('mark')</script>",
    "voila-theme=../../../../..{home}/x",
    "voila_theme=dark",
    "theme=dark",
    "strip_sources=false",
    "voila-strip_sources=false",
    "show_tracebacks=true",
    "voila-show_tracebacks=true",
    "kernel_name=evil",
    "voila-kernel=evil",
    "progressive_rendering=true",
    "token=x",
    "next=//evil.example",
    "_xsrf=x",
    "x=<img src=x onerror=alert(1)>mark",
    "voila-template=planted&voila-template=llmws",
    "voila-template[]=planted",
    "voila-template=planted%00",
)


def test_no_parameter_changes_how_a_dashboard_is_shown(scene: Scene, attempts: Attempts) -> None:
    bob, home = scene.people["bob"], scene.hub.state.home("bob")
    plain = _page(scene, "")
    assert "llmws" in plain
    assert "ui.Chat()" not in plain
    for parameter in PARAMETERS:
        shown = _page(scene, "?" + parameter.format(home=home))
        changed = [sign for sign in ("template-of-bob", "ui.Chat()", "<script>alert(", "<img src=x") if sign in shown]
        # Where it is shown at all, it is by our template: the same page, but for the ids in it.
        attempts.add(parameter, changed or (shown and abs(len(shown) - len(plain)) > 200 and "another page"))
        for page in ("", "nowhere", "voila/render/nowhere.ipynb"):
            told = bob.get(f"/user/bob/{page}?{parameter.format(home=home)}").text
            attempts.add(
                f"{page}?{parameter}", [sign for sign in changed or ("<img src=x", "<script>alert(") if sign in told]
            )


def _page(scene: Scene, query: str) -> str:
    """A dashboard's page, whose kernel is ended again: there may be twelve of them only."""
    bob = scene.people["bob"]
    limit = time.monotonic() + 30
    while (page := bob.get(f"/user/bob/voila/render/chat.ipynb{query}")).status_code == 503:
        assert time.monotonic() < limit, page.text
        time.sleep(0.2)
    if '"kernelId"' in page.text:
        kernel = page.text.partition('"kernelId":')[2].partition('"')[2].partition('"')[0]
        bob.ask("DELETE", f"/user/bob/api/kernels/{kernel}")
    return page.text if page.is_success else ""


def test_nothing_of_a_home_is_run_by_the_server_of_dashboards_or_its_kernels(scene: Scene, attempts: Attempts) -> None:
    home = scene.hub.state.home("bob")
    planted = [file for file in home.rglob("*") if file.is_file() and file.parent != home / "private"]
    ran = [file.name for file in home.glob("ran-*") if len(file.name) < 32]
    for file in planted:
        attempts.add(f"{file.relative_to(home)} was planted", "")
    attempts.add("planted code was run", ran)


TARGETS = (
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%09/evil.example",
    "https://evil.example",
    "https:evil.example",
    "http:///evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/hub/..//evil.example",
    "%2f%2fevil.example",
    "/%2fevil.example",
    "//127.0.0.1@evil.example",
    "/user/bob/..//..//..//evil.example",
    "\t//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "http://127.0.0.1.evil.example/",
)
LEADING = ("/hub/login", "/hub/logout", "/hub/spawn", "/hub/user-redirect/", "/hub/", "/user/bob/logout", "/hub/signup")


def test_no_page_leads_to_another_site(scene: Scene, attempts: Attempts) -> None:
    """With a cookie of Nils, who has no server that might be ended; each signs him out, so he comes as he left."""
    nils = scene.people["nils"]
    cookies = nils.cookie_header("/hub/")
    for wire, route, target in itertools.product([Wire(scene.hub.port)], LEADING, TARGETS):
        for name in ("next", "redirect", "url"):
            headers = {} if route.endswith("logout") else {"Cookie": cookies}
            encoded = target.replace("\t", "%09").replace("\n", "%0a")
            answer = wire.ask("GET", f"{route}?{name}={encoded}", headers)
            attempts.add(f"{route}?{name}={target!r}", _leads_away(answer.location) and answer.location)


def _leads_away(location: str) -> bool:
    """Whether a browser would leave for another site: to it a backslash is a slash, and a tab is nothing."""
    plain = location.replace("\\", "/").translate({9: None, 10: None, 13: None}).strip().lower()
    if plain.startswith("//"):
        return True
    scheme = plain.partition(":")[0]
    return scheme in ("javascript", "data") or (scheme in ("http", "https") and "//127.0.0.1" not in plain[:18])
