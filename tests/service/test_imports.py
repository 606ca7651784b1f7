"""Imports of a real service: sent in pieces, read by a child, reported record by record, and whole after a crash."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmws.errors import Conflict, NotFound
from llmws.service import imports
from llmws.service.import_folder import ImportFolder
from llmws.settings import Settings
from llmws.transfer import own
from llmws.transfer.conversations import Attachment
from tests.transfer.conversations import a_conversation, large_file, nothing

from .harness import Api, Process, Running, running_service, wait_for
from .test_edge import error

SAMPLES = Path(__file__).parents[1] / "transfer"
COUNTS = ("imported", "updated", "present", "refused")


def announce(api: Api, content: bytes, name: str = "conversations.json") -> dict[str, Any]:
    return dict(api.post("/api/imports", {"name": name, "bytes": len(content)}))


def send(api: Api, id: str, content: bytes, offset: int = 0) -> httpx.Response:
    return api.http.post(f"/api/imports/{id}/content", params={"offset": offset}, content=content)


def ended(api: Api, id: str) -> dict[str, Any]:
    return dict(wait_for(lambda: ended_now(api, id), "the import"))


def ended_now(api: Api, id: str) -> dict[str, Any] | None:
    told: dict[str, Any] = api.get(f"/api/imports/{id}")
    return told if told["state"] == "ended" else None


def bring(api: Api, content: bytes, piece: int = 1000) -> dict[str, Any]:
    import_id = announce(api, content)["id"]
    for offset in range(0, len(content), piece):
        assert send(api, import_id, content[offset : offset + piece], offset).is_success
    return ended(api, import_id)


def goes_on(api: Api, id: str) -> None:
    """Wait until some more conversations are there, and fail where all of them are."""
    before = api.get(f"/api/imports/{id}")["imported"]
    told = wait_for(lambda: (told := api.get(f"/api/imports/{id}"))["imported"] > before + 20 and told, "some more")
    assert told["state"] == "reading"


def counts(told: dict[str, Any]) -> list[int]:
    return [told[name] for name in COUNTS]


def records(api: Api, told: dict[str, Any]) -> list[dict[str, Any]]:
    return list(api.get(f"/api/imports/{told['id']}/records")["items"])


def test_chatgpt_s_export_is_imported_once(service: Running) -> None:
    content = (SAMPLES / "chatgpt.json").read_bytes()
    told = bring(service, content)
    assert (told["kind"], told["error"], counts(told)) == ("chatgpt", None, [2, 0, 0, 2])
    report = records(service, told)
    assert [(line["place"], line["outcome"], line["messages"]) for line in report] == [
        *((1, "imported", 5), (2, "refused", 0), (3, "refused", 0), (4, "imported", 2))
    ]
    assert report[1]["title"] == "Corrupted entry"
    assert "no conversation" in report[1]["reason"]
    shown = service.get(f"/api/chats/{report[0]['chat_id']}/messages")["items"]
    assert [row["message"]["role"] for row in shown] == ["user", "assistant", "user", "assistant"]
    assert len(shown[1]["siblings"]) == 2
    again = bring(service, content)
    assert counts(again) == [0, 0, 2, 2]
    assert [line["chat_id"] for line in records(service, again)] == [line["chat_id"] for line in report]
    newest = [found["id"] for found in service.get("/api/imports")["items"]]
    assert newest == [again["id"], told["id"]]


def test_an_imported_chat_goes_on_with_a_model_that_is_here(service: Running) -> None:
    told = bring(service, (SAMPLES / "open_webui.json").read_bytes())
    assert (told["kind"], counts(told)) == ("open_webui", [3, 0, 0, 1])
    chat = records(service, told)[0]["chat_id"]
    error(service.http.post(f"/api/chats/{chat}/messages", json={"text": "And?"}), 404)
    sent = service.post(f"/api/chats/{chat}/messages", {"text": "And 15 * 18?", "model": "echo"})
    assert service.message(sent["generation"]["id"]).finish_reason == "stop"


def test_what_was_exported_is_there_already(service: Running) -> None:
    chat = service.new_chat(title="Sky")
    service.message(service.send(chat["id"], "Why?")["generation"]["id"])
    saved = service.http.get("/api/exports").content
    assert counts(bring(service, saved)) == [0, 0, 1, 0]
    service.message(service.send(chat["id"], "And?")["generation"]["id"])
    assert counts(bring(service, saved)) == [0, 0, 1, 0]
    service.http.delete(f"/api/chats/{chat['id']}")
    back = bring(service, saved)
    assert counts(back) == [0, 1, 0, 0]
    assert records(service, back)[0]["reason"] == "It had been deleted, and is back."


def test_another_service_gets_all_of_it(service: Running, tmp_path: Path) -> None:
    chat = service.new_chat(title="Sky", system="Be brief.", parameters={"temperature": 0.5})
    sent = service.send(chat["id"], "Why?", tokens=["Because."], reasoning="Think.")
    service.message(sent["generation"]["id"])
    service.message(
        service.post(f"/api/chats/{chat['id']}/messages/{sent['answer']['id']}/regenerate")["generation"]["id"]
    )
    saved = service.http.get("/api/exports", params={"chat": chat["id"]}).content
    with running_service(Settings(data=tmp_path / "other", embedded=False, idle_exit_s=0)) as other:
        bring(other, saved)
        copy = other.http.get("/api/exports").content

    def without_ids(file: bytes) -> Any:
        [told] = json.loads(file)["chats"]
        for row in told["messages"]:
            row.pop("id"), row.pop("parent_id")
        return {name: value for name, value in told.items() if name not in ("id", "head_id")}

    assert without_ids(copy) == without_ids(saved)


def test_pieces_come_in_order_and_may_come_again(service: Running) -> None:
    content = (SAMPLES / "open_webui.json").read_bytes()
    import_id = announce(service, content)["id"]
    assert send(service, import_id, content[:100]).json()["received"] == 100
    assert send(service, import_id, content[:100]).json()["received"] == 100
    told = error(send(service, import_id, content[200:300], 200), 409)
    assert told["details"]["received"] == 100
    error(send(service, import_id, content + b"x"), 422)
    assert service.get(f"/api/imports/{import_id}")["state"] == "uploading"
    assert send(service, import_id, content[100:], 100).is_success
    assert counts(ended(service, import_id)) == [3, 0, 0, 1]
    assert send(service, import_id, content[:100]).is_success


def test_a_browser_sends_pieces_by_ticket(service: Running) -> None:
    content = (SAMPLES / "open_webui.json").read_bytes()
    import_id = announce(service, content)["id"]
    path = service.post("/api/tickets", {"action": "upload", "thing": "imports"})["path"]
    assert path.startswith("imports/upload?ticket=")
    with httpx.Client(base_url=f"{service.instance.url}/door/", trust_env=False) as browser:
        sent = browser.post(f"{path}&id={import_id}&offset=0", content=content)
        assert sent.json()["received"] == len(content)
        error(browser.post(f"imports/upload?ticket=x&id={import_id}&offset=0", content=b""), 403)
    assert counts(ended(service, import_id)) == [3, 0, 0, 1]


def test_a_broken_file_keeps_what_came_before(service: Running) -> None:
    content = (SAMPLES / "chatgpt.json").read_bytes()
    told = bring(service, content[: content.index(b"Old and bare")])
    assert counts(told) == [1, 0, 0, 2]
    assert "after conversation 3" in told["error"]
    error(service.http.post("/api/imports", json={"name": "x", "bytes": 0}), 422)
    error(service.http.post("/api/imports", json={"name": "x", "bytes": imports.LARGEST + 1}), 422)


def test_an_import_is_forgotten_when_it_is_cancelled(service: Running, settings: Settings) -> None:
    import_id = announce(service, b"[1, 2]")["id"]
    assert (settings.data / "imports" / import_id / "about.json").exists()
    assert service.http.delete(f"/api/imports/{import_id}").status_code == 204
    error(service.http.get(f"/api/imports/{import_id}"), 404)
    assert list((settings.data / "imports").iterdir()) == []


async def test_what_is_asked_at_one_moment_is_done_once(tmp_path: Path) -> None:
    imports_here = imports.Imports(tmp_path, None, 0)  # type: ignore[arg-type]
    made = await asyncio.gather(*(imports_here.create("ada", "1", "x", 4) for _ in range(3)))
    assert [found.about.id for found in made] == ["1"] * 3
    results = await asyncio.gather(
        *(imports_here.create("ada", str(number), "x", 4) for number in range(2, 9)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ImportFolder] * 3 + [Conflict] * 4


async def test_a_piece_that_is_on_its_way_when_an_import_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports_here = imports.Imports(tmp_path, None, 0)  # type: ignore[arg-type]
    found = await imports_here.create("ada", "1", "x", 4)
    append, remove = found.append, found.remove
    begun, removed = threading.Event(), threading.Event()

    def slowly(offset: int, data: bytes) -> None:
        begun.set()
        removed.wait(0.2)
        append(offset, data)

    monkeypatch.setattr(found, "append", slowly)
    monkeypatch.setattr(found, "remove", lambda: (remove(), removed.set()))
    sending = asyncio.create_task(imports_here.append("ada", "1", 0, b"ab"))
    await asyncio.to_thread(begun.wait, 20)
    following = asyncio.create_task(imports_here.append("ada", "1", 2, b"c"))
    await imports_here.cancel("ada", "1")
    assert (await sending).received >= 2
    with contextlib.suppress(NotFound):
        await following
    assert imports_here.of("ada") == []


async def test_what_becomes_whole_while_the_service_ends_waits_for_the_next(tmp_path: Path) -> None:
    ending = imports.Imports(tmp_path, None, 0)  # type: ignore[arg-type]
    await ending.create("ada", "1", "x", 2)
    await ending.drain()
    found = await ending.append("ada", "1", 0, b"[]")
    assert (found.received, ending.busy) == (2, False)
    following = imports.Imports(tmp_path, None, 0)  # type: ignore[arg-type]
    await following.start()
    assert following.busy
    await following.drain()
    assert following.get("ada", "1").end is None


def test_too_many_at_once_are_refused(service: Running) -> None:
    for _ in range(4):
        announce(service, b"[]")
    error(service.http.post("/api/imports", json={"name": "x", "bytes": 5}), 409)


def test_a_child_that_dies_is_told_of(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if the system had ended it: the shell's own process in place of Python.
    monkeypatch.setattr(imports.sys, "executable", "/bin/false")
    told = bring(service, b"[]")
    assert "more memory than an import may have" in told["error"]
    assert service.get("/healthz")["status"] == "ok"


@pytest.mark.long
def test_an_import_goes_on_after_the_service_was_killed(process: Process, tmp_path: Path) -> None:
    """Killed twice in the middle, it ends with each conversation once, and a line of the report for each."""
    nodes = a_conversation().nodes
    many = (a_conversation(id=str(index), title=str(index), nodes=nodes) for index in range(400))
    content = "".join(own.write(many, nothing)).encode()
    api = process.start()
    import_id = announce(api, content)["id"]
    assert send(api, import_id, content).is_success
    for _ in range(2):
        goes_on(api, import_id)
        process.kill()
        api = process.start()
    told = ended(api, import_id)
    assert sum(counts(told)) == 400
    assert told["refused"] == 0
    pages = [api.get(f"/api/imports/{import_id}/records", cursor=cursor) for cursor in (0, 100, 200, 300)]
    assert [page["next_cursor"] for page in pages] == ["100", "200", "300", None]
    report = [line for page in pages for line in page["items"]]
    assert [line["place"] for line in report] == list(range(1, 401))
    assert len({line["chat_id"] for line in report}) == 400
    saved = api.http.get("/api/exports").json()["chats"]
    assert len(saved) == 400
    assert {len(chat["messages"]) for chat in saved} == {len(nodes)}


# The smallest picture there is: a transparent dot.
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def picture_of(service: Running, told: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """What the first message of the first conversation has attached."""
    chat = records(service, told)[0]["chat_id"]
    parts = service.get(f"/api/chats/{chat}/messages")["items"][0]["message"]["parts"]
    [data] = [part["data"] for part in parts if part["type"] == "image"]
    return data, service.http.get(f"/api/attachments/{data['attachment']}/content").content


def test_the_smallest_file_comes_along(service: Running) -> None:
    note = Attachment("pic1", "note.txt", "text/plain", b"x")
    saved = "".join(own.write([a_conversation()], lambda _: note)).encode()
    data, body = picture_of(service, bring(service, saved, 1 << 20))
    assert (data["name"], body) == ("note.txt", b"x")


def test_a_name_from_elsewhere_is_that_of_a_file(service: Running) -> None:
    import_id = announce(service, b"[1, 2]", "../\u202enosj.exe")["id"]
    assert service.get(f"/api/imports/{import_id}")["name"] == "nosj.exe"
    picture = Attachment("pic1", "../\u202egnp.exe", "image/png", DOT)
    saved = "".join(own.write([a_conversation()], lambda _: picture)).encode()
    assert picture_of(service, bring(service, saved, 1 << 20))[0]["name"] == "gnp.exe"
    gone = "".join(own.write([a_conversation(id="other")], lambda _: None)).replace("moon.png", "\u2066moon.png")
    chat = records(service, bring(service, gone.encode(), 1 << 20))[0]["chat_id"]
    parts = service.get(f"/api/chats/{chat}/messages")["items"][0]["message"]["parts"]
    assert "[moon.png]" in parts[1]["text"], parts


def test_our_own_pictures_come_along(service: Running, tmp_path: Path) -> None:
    picture = Attachment("pic1", "moon.png", "image/png", DOT)
    saved = "".join(own.write([a_conversation()], lambda _: picture)).encode()
    told = bring(service, saved, 1 << 20)
    assert counts(told) == [1, 0, 0, 0]
    data, body = picture_of(service, told)
    assert body == DOT
    assert (data["name"], data["media_type"], data["width"]) == ("moon.png", "image/png", 1)
    assert counts(bring(service, saved, 1 << 20)) == [0, 0, 1, 0]
    again = service.http.get("/api/exports").content
    assert base64.b64encode(DOT) in again
    assert counts(bring(service, again, 1 << 20)) == [0, 0, 1, 0]
    gone = "".join(own.write([a_conversation(id="other")], nothing)).encode()
    chat = records(service, bring(service, gone, 1 << 20))[0]["chat_id"]
    parts = service.get(f"/api/chats/{chat}/messages")["items"][0]["message"]["parts"]
    assert parts == [{"type": "text", "text": "Why?"}, {"type": "text", "text": "[moon.png]\n\n"}]


def test_pictures_of_others_come_along(service: Running, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(SAMPLES / "chatgpt.json", "conversations.json")
        archive.writestr("file_0001-sanitized.png", DOT)
    told = bring(service, packed.getvalue())
    assert (told["kind"], counts(told)) == ("chatgpt", [2, 0, 0, 2])
    data, body = picture_of(service, told)
    assert (data["name"], body) == ("mars.png", DOT)
    chats = json.loads((SAMPLES / "open_webui.json").read_text("utf-8"))
    url = "data:image/png;base64," + base64.b64encode(DOT).decode()
    chats[0]["chat"]["history"]["messages"]["q1"]["files"][0]["url"] = url
    data, body = picture_of(service, bring(service, json.dumps(chats).encode()))
    assert body == DOT
    # One that is none is told by its name, and said.
    chats[0]["id"] = "another"
    chats[0]["chat"]["history"]["messages"]["q1"]["files"][0]["url"] = url[:60] + "A" * 200
    told = bring(service, json.dumps(chats).encode())
    assert "Not all that was attached could be taken" in records(service, told)[0]["reason"]


def test_what_a_file_says_of_a_picture_is_not_believed(service: Running) -> None:
    saved = json.loads("".join(own.write([a_conversation()], lambda _: Attachment("pic1", "a.png", "image/png", DOT))))
    [part] = [part for part in saved["chats"][0]["messages"][0]["message"]["parts"] if part["type"] == "image"]
    part["data"] |= {"media_type": "text/html", "width": 10**9, "height": -1}
    data, _ = picture_of(service, bring(service, json.dumps(saved).encode()))
    assert (data["media_type"], data["width"], data["height"]) == ("image/png", 1, 1)


def test_a_chat_opens_whatever_its_file_says_was_left_out(service: Running) -> None:
    saved = json.loads("".join(own.write([a_conversation(id=str(n)) for n in range(3)], nothing)))
    for chat, dropped in zip(saved["chats"], ("many", None, [3]), strict=True):
        warning = {"type": "warning", "text": "Cut.", "data": {"code": "history_cut", "dropped": dropped}}
        chat["messages"][-1]["message"]["parts"].append(warning)
    for line in records(service, bring(service, json.dumps(saved).encode())):
        assert service.get(f"/api/chats/{line['chat_id']}")["context"]["dropped"] == 0


@pytest.mark.long
@pytest.mark.timeout(1700)
def test_a_service_does_not_grow_with_what_passes_through_it(process: Process, tmp_path: Path) -> None:
    """The first fifty megabytes fill the database's caches; a hundred more, and all of it out, take nothing more."""
    api = process.start()
    pass_in(api, large_file(tmp_path / "first.json", 1_250, begin=0))
    before = most_held(api)
    pass_in(api, large_file(tmp_path / "second.json", 2_500, begin=1_250), 2_500)
    came = 0
    with api.http.stream("GET", "/api/exports") as response:
        for piece in response.iter_bytes():
            came += len(piece)
    assert came > 150_000_000
    grown = most_held(api) - before
    # Memory moves by itself, too (26 MiB were seen); any of the files, if it were kept, would take it past this.
    assert grown < 60 << 10, f"{grown >> 10} MiB"


def pass_in(api: Api, file: Path, chats: int = 1_250) -> None:
    size = file.stat().st_size
    import_id = api.post("/api/imports", {"name": file.name, "bytes": size})["id"]
    with file.open("rb") as content:
        for offset in range(0, size, 8 << 20):
            assert send(api, import_id, content.read(8 << 20), offset).is_success
    told = wait_for(lambda: ended_now(api, import_id), "the import", 800)
    assert counts(told) == [chats, 0, 0, 0]


def most_held(api: Api) -> int:
    """The most memory that the service has held, in KiB."""
    status = Path(f"/proc/{api.instance.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
