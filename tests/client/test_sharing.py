"""Sharing from a cell, between two people of a hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from llmws.client import Client
from llmws.client.bridge import bridge
from llmws.client.finding import Given
from llmws.errors import Forbidden, InvalidRequest, NotFound
from llmws.settings import Settings
from tests.service.harness import Running, running_service
from tests.service.test_hub_identity import CHAT, Hub, serving, user


@pytest.fixture
def service(settings: Settings) -> Iterator[Running]:
    people = {"o": user("olga", CHAT, groups=["lab"]), "p": user("pia", CHAT, groups=["lab"])}
    with serving(Hub(people)) as hub, running_service(replace(settings, idle_exit_s=0.0), hub.service) as running:
        yield running


def connected(service: Running, token: str) -> Client:
    finder = Given(service.instance.url, token)
    return Client(finder, bridge().run(finder.address()))


@pytest.fixture
def olga(service: Running) -> Iterator[Client]:
    client = connected(service, "o")
    yield client
    client.close()


@pytest.fixture
def pia(service: Running) -> Iterator[Client]:
    client = connected(service, "p")
    yield client
    client.close()


def test_a_conversation_is_shared_read_and_continued(olga: Client, pia: Client) -> None:
    chat = olga.chats.create(model="echo", title="Moons")
    chat.send("Name three moons.", show=False)
    assert chat.share(person="pia", group="lab") == ["person pia", "group lab"]
    table = pia.chats.shared()
    assert table.loc[0, ["id", "title", "owner", "model"]].to_list() == [chat.id, "Moons", "olga", "echo"]
    shared = pia.chats.open_shared(chat.id)
    assert repr(shared) == f"SharedChat('Moons', owner='olga', id='{chat.id}')"
    assert [message.text for message in shared.messages()] == ["Name three moons."] * 2
    copy = shared.copy()
    copy.send("And a fourth.", show=False)
    assert (len(copy.messages()), len(chat.messages())) == (4, 2)
    assert chat.unshare(person="pia") == ["group lab"]
    shared.leave()
    assert chat.unshare(group="lab") == []
    with pytest.raises(NotFound):
        shared.messages()
    with pytest.raises(Forbidden, match="You are not in the group choir"):
        chat.share(group="choir")


def test_a_link_is_made_and_revoked_and_its_path_is_in_no_output(olga: Client) -> None:
    chat = olga.chats.create(model="echo")
    chat.send("Name three moons.", show=False)
    link = chat.link(days=7)
    assert link.path.startswith("/services/llmws/door/shared/")
    assert link.path not in repr(link)
    links = chat.links()
    assert list(links.id) == [link.id]
    assert (links.expires_at - links.created_at)[0].round("h").days == 7
    chat.revoke(link)
    assert list(chat.links().id) == []
    forever = chat.link(days=None)
    assert forever.expires_at is None
    assert chat.links().expires_at.isna().all()
    chat.revoke(forever.id)


def test_an_assistant_is_shared_and_begun_with(olga: Client, pia: Client) -> None:
    poet = olga.assistants.create("Poet", model="echo", system="Rhyme.", description="In verse.", temperature=0.9)
    assert poet.share(group="lab") == ["group lab"]
    assert pia.assistants.list().loc[0, ["name", "owner", "model"]].to_list() == ["Poet", "olga", "echo"]
    for assistant in ("Poet", poet.id, pia.assistants.open("Poet")):
        chat = pia.chats.create(assistant=assistant)
        assert (chat.model, chat.system, chat.parameters.temperature) == ("echo", "Rhyme.", 0.9)
    own = pia.chats.create(assistant="Poet", system="Do not.", max_tokens=5)
    assert (own.system, own.parameters.to_dict()) == ("Do not.", {"temperature": 0.9, "max_tokens": 5})
    with pytest.raises(NotFound):
        pia.assistants.open("Poet").update("Mine")
    pia.assistants.create("Poet", model="echo")
    with pytest.raises(InvalidRequest, match="2 assistants"):
        pia.chats.create(assistant="Poet")
    poet.update("Bard", model="echo")
    assert "Bard" in list(pia.assistants.list().name)
    poet.delete()
    assert "Bard" not in list(pia.assistants.list().name)
    with pytest.raises(NotFound, match="no assistant 'Bard'"):
        pia.chats.create(assistant="Bard")
