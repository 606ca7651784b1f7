"""Conversations: made, listed, changed, put away, continued."""

from __future__ import annotations

import pytest

from llmws.messages import Message

from .harness import Process, Running, wait_for
from .test_edge import error


def texts(service: Running, chat_id: str) -> list[str]:
    items = service.get(f"/api/chats/{chat_id}/messages", limit=1000)["items"]
    return [Message.from_dict(item["message"]).text for item in items]


def talk(service: Running, chat_id: str, text: str, **extra: object) -> Message:
    return service.message(service.send(chat_id, text, **extra)["generation"]["id"])


def test_a_conversation_is_kept_in_order(service: Running) -> None:
    chat = service.new_chat(system="Be brief.")
    assert chat["running"] is None
    assert talk(service, chat["id"], "Hello").text == "Hello"
    assert talk(service, chat["id"], "And again").text == "And again"
    items = service.get(f"/api/chats/{chat['id']}/messages")["items"]
    assert [item["message"]["role"] for item in items] == ["user", "assistant"] * 2
    assert [item["parent_id"] for item in items[1:]] == [item["id"] for item in items[:-1]]
    assert texts(service, chat["id"]) == ["Hello", "Hello", "And again", "And again"]
    assert Message.from_dict(items[-1]["message"]) == service.kept(items[-1]["generation_id"])


def test_a_chat_that_answers_says_so_and_takes_no_second_message(service: Running) -> None:
    chat = service.new_chat()
    sent = service.send(chat["id"], "Go on", tokens=["on "], count=100_000, delay_s=0.01)
    running = sent["generation"]["id"]
    assert sent["answer"]["generation_id"] == running
    assert service.get(f"/api/chats/{chat['id']}")["running"] == running
    assert service.get("/api/chats")["items"][0]["running"] == running
    told = error(service.http.post(f"/api/chats/{chat['id']}/messages", json={"text": "Me too"}), 409)
    assert "stop it" in told["remedy"]
    service.post(f"/api/generations/{running}/cancel")
    assert service.message(running).finish_reason == "cancelled"
    assert talk(service, chat["id"], "Now").text == "Now"
    assert texts(service, chat["id"])[0] == "Go on"
    assert "Me too" not in texts(service, chat["id"])


def test_a_repeated_message_is_said_once(service: Running) -> None:
    chat = service.new_chat()
    first, again = (service.send(chat["id"], "Hello", key="k1") for _ in range(2))
    assert first["message"]["id"] == again["message"]["id"]
    assert first["generation"]["id"] == again["generation"]["id"]
    assert service.message(first["generation"]["id"]).text == "Hello"
    assert service.send(chat["id"], "Hello", key="k1")["answer"]["message"]["finish_reason"] == "stop"
    assert texts(service, chat["id"]) == ["Hello", "Hello"]
    body = {"text": "Another"}
    refused = service.http.post(f"/api/chats/{chat['id']}/messages", json=body, headers={"Idempotency-Key": "k1"})
    assert "new key" in error(refused, 409)["remedy"]


def test_a_repeated_creation_makes_one_chat(service: Running) -> None:
    ids = {service.post("/api/chats", {"model": "echo"}, key="k")["id"] for _ in range(2)}
    assert [chat["id"] for chat in service.get("/api/chats")["items"]] == list(ids)


def test_the_first_message_names_a_chat_that_has_no_title(service: Running) -> None:
    untitled, titled = service.new_chat(), service.new_chat(title="Moons")
    for chat in (untitled, titled):
        talk(service, chat["id"], "Name\n three   moons.")
        talk(service, chat["id"], "And three more.")
    found = {chat["id"]: chat["title"] for chat in service.get("/api/chats")["items"]}
    assert found == {untitled["id"]: "Name three moons.", titled["id"]: "Moons"}


def test_chats_are_listed_by_page_and_by_title(service: Running) -> None:
    for n in range(5):
        service.new_chat(title=f"Chat {n}")
    first = service.get("/api/chats", limit=3)
    rest = service.get("/api/chats", limit=3, cursor=first["next_cursor"])
    assert [chat["title"] for chat in first["items"] + rest["items"]] == [f"Chat {n}" for n in (4, 3, 2, 1, 0)]
    assert rest["next_cursor"] is None
    (hit,) = service.get("/api/chats", query="chat 2")["items"]
    assert hit["title"] == "Chat 2"
    assert hit["match"] == {"message_id": None, "text": "", "ranges": [], "title_ranges": [[0, 4], [5, 6]]}
    error(service.http.get("/api/chats", params={"cursor": "nonsense"}), 422)
    error(service.http.get("/api/chats", params={"limit": 0}), 422)


def test_messages_are_paged_from_the_latest_back(service: Running) -> None:
    chat = service.new_chat()
    for n in range(3):
        talk(service, chat["id"], f"message {n}")
    path = f"/api/chats/{chat['id']}/messages"
    latest = service.get(path, limit=4)
    older = service.get(path, limit=4, cursor=latest["next_cursor"])
    both = [Message.from_dict(item["message"]).text for item in older["items"] + latest["items"]]
    assert both == ["message 0"] * 2 + ["message 1"] * 2 + ["message 2"] * 2
    assert older["next_cursor"] is None


def test_a_chat_is_changed_and_what_is_not_given_stays(service: Running) -> None:
    chat = service.new_chat(system="Be brief.", parameters={"temperature": 0.5})
    changed = service.http.patch(f"/api/chats/{chat['id']}", json={"title": "New"}).json()
    assert changed["title"] == "New"
    assert (changed["system"], changed["parameters"]) == ("Be brief.", {"temperature": 0.5})
    assert service.http.patch(f"/api/chats/{chat['id']}", json={"system": ""}).json()["system"] == ""
    error(service.http.patch(f"/api/chats/{chat['id']}", json={"model": "gpt-9"}), 404)


def test_a_deleted_chat_comes_back(service: Running) -> None:
    chat = service.new_chat()
    talk(service, chat["id"], "Hello")
    path = f"/api/chats/{chat['id']}"
    assert service.http.delete(path).status_code == 204
    error(service.http.get(path), 404)
    error(service.http.delete(path), 404)
    assert service.get("/api/chats")["items"] == []
    assert service.post(f"{path}/restore")["id"] == chat["id"]
    assert texts(service, chat["id"]) == ["Hello", "Hello"]


def test_a_search_names_the_message_and_shows_it(service: Running) -> None:
    chat = service.new_chat(title="Journey")
    talk(service, chat["id"], "我们坐船去南方")
    service.new_chat(title="Elsewhere")
    first = service.get("/api/chats", query="南方", limit=1)
    (hit,) = first["items"]
    answer = service.get(f"/api/chats/{chat['id']}/messages")["items"][-1]
    assert hit["id"] == chat["id"]
    assert hit["match"]["message_id"] == answer["id"]
    assert [hit["match"]["text"][a:b] for a, b in hit["match"]["ranges"]] == ["南方"]
    assert first["next_cursor"] is None
    assert service.get("/api/chats", query=" ")["items"] == []
    error(service.http.get("/api/chats", params={"query": "x" * 1001}), 422)


def test_a_chat_is_put_in_a_folder_tagged_pinned_and_archived(service: Running) -> None:
    chat, other = service.new_chat(title="Sky"), service.new_chat(title="Sea")
    path = f"/api/chats/{chat['id']}"
    assert (chat["folder"], chat["tags"], chat["pinned"], chat["archived"]) == ("", [], False, False)
    placed = {"folder": " Colours ", "tags": ["blue", "blue", "air"], "pinned": True}
    changed = service.http.patch(path, json=placed).json()
    assert (changed["folder"], changed["tags"], changed["pinned"]) == ("Colours", ["air", "blue"], True)
    assert changed["updated_at"] == chat["updated_at"]
    assert service.get("/api/chats/folders")["items"] == [{"name": "Colours", "chats": 1}]
    assert service.get("/api/chats/tags")["items"] == [{"name": "air", "chats": 1}, {"name": "blue", "chats": 1}]
    for among in ({"folder": "Colours"}, {"tag": "air"}, {"query": "sky", "tag": "blue"}):
        assert [one["id"] for one in service.get("/api/chats", **among)["items"]] == [chat["id"]]
    assert service.post("/api/chats/folders/rename", {"folder": "Colours", "to": ""}) == {"name": "", "moved": 1}
    service.http.patch(path, json={"archived": True})
    assert [one["id"] for one in service.get("/api/chats")["items"]] == [other["id"]]
    assert [one["id"] for one in service.get("/api/chats", archived=True)["items"]] == [chat["id"]]
    assert [one["archived"] for one in service.get("/api/chats", query="sky")["items"]] == [True]
    for wrong in ({"folder": "x" * 101}, {"tags": [""]}, {"tags": ["  "]}, {"tags": ["x"] * 51}, {"temporary": True}):
        error(service.http.patch(path, json=wrong), 422)
    # What a database keeps as the same would be there twice.
    for wrong in ({"tags": ["a\0", "a\ufffd"]}, {"folder": "a\nb"}):
        error(service.http.patch(path, json=wrong), 422)


def test_a_temporary_chat_leaves_no_history(service: Running) -> None:
    chat = service.new_chat(temporary=True)
    talk(service, chat["id"], "whisper")
    assert service.get("/api/chats")["items"] == []
    assert service.get("/api/chats", query="whisper")["items"] == []
    assert texts(service, chat["id"]) == ["whisper", "whisper"]
    running = service.send(chat["id"], "Go on", tokens=["on "], count=100_000, delay_s=0.01)["generation"]["id"]
    assert service.http.delete(f"/api/chats/{chat['id']}").status_code == 204
    error(service.http.post(f"/api/chats/{chat['id']}/restore"), 404)
    error(service.http.get(f"/api/generations/{running}"), 404)
    # What it cost stays.
    assert service.get("/api/usage/calls")["items"][0]["generation_id"] == running


def test_a_restart_erases_what_is_temporary_and_keeps_the_rest(process: Process) -> None:
    first = process.start()
    kept, temporary = first.new_chat(), first.new_chat(temporary=True)
    process.end()
    again = process.start()
    wait_for(lambda: again.http.get(f"/api/chats/{temporary['id']}").status_code == 404, "what is temporary to go")
    assert [chat["id"] for chat in again.get("/api/chats")["items"]] == [kept["id"]]
    for api in (first, again):
        api.close()


@pytest.mark.parametrize("path", ["/api/chats/nothing", "/api/chats/nothing/messages", "/api/generations/nothing"])
def test_what_is_not_there_is_not_found(service: Running, path: str) -> None:
    error(service.http.get(path), 404)


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": 3}, {"text": "a", "parameters": {"stop": "x"}}])
def test_a_message_that_says_nothing_is_refused(service: Running, body: dict[str, object]) -> None:
    chat = service.new_chat()
    error(service.http.post(f"/api/chats/{chat['id']}/messages", json=body), 422)
    assert texts(service, chat["id"]) == []


def test_parameters_of_a_message_go_before_those_of_its_chat(service: Running) -> None:
    chat = service.new_chat(parameters={"max_tokens": 1})
    assert talk(service, chat["id"], "one two three").text == "one"
    body = {"text": "one two three", "parameters": {"max_tokens": 2}}
    sent = service.post(f"/api/chats/{chat['id']}/messages", body)
    message = service.message(sent["generation"]["id"])
    assert (message.text, message.finish_reason) == ("one two", "length")
