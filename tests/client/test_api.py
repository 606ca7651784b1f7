"""What a request survives, and how it fails when it must: against a service that breaks, lies or is none."""

from __future__ import annotations

import pytest

from llmws.client.api import Api
from llmws.client.finding import Given, Local, Stopped
from llmws.errors import Conflict, InvalidRequest, NotFound, ProviderError, ServiceError
from llmws.messages import Parameters, StreamEvent, assemble
from llmws.settings import Settings

from .stand_in import Asked, stand_in

CHAT = {"id": "c1", "title": "", "model": "echo", "system": None, "parameters": {}}


def _events(*texts: str) -> list[tuple[int, StreamEvent]]:
    """A stream with its positions."""
    events, at = [(1, StreamEvent("start", model="echo"))], 1
    for text in texts:
        at += len(text)
        events.append((at, StreamEvent("text", text=text)))
    return [*events, (at + 1, StreamEvent("end", finish_reason="stop"))]


async def test_a_post_whose_answer_got_lost_is_sent_again_with_the_same_key() -> None:
    def answer(asked: Asked) -> None:
        if asked.number > 0:
            asked.json(CHAT, 201)

    with stand_in(answer) as service:
        assert await service.api.create_chat("echo", parameters=Parameters(seed=1)) == CHAT
    first, second = service.asked
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.headers["X-Request-ID"] == second.headers["X-Request-ID"]
    assert first.body == second.body == {"model": "echo", "parameters": {"seed": 1}}


async def test_two_posts_have_two_keys_unless_the_caller_gives_one() -> None:
    with stand_in(lambda asked: asked.json(CHAT, 201)) as service:
        await service.api.create_chat("echo")
        await service.api.create_chat("echo")
        await service.api.create_chat("echo", key="mine")
    keys = [asked.headers["Idempotency-Key"] for asked in service.asked]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


async def test_a_proxy_without_its_service_is_waited_for() -> None:
    def answer(asked: Asked) -> None:
        if asked.number == 0:
            asked.raw(b"<h1>502 Bad Gateway</h1>", 502)
        else:
            asked.json(CHAT)

    with stand_in(answer) as service:
        assert await service.api.chat("c1") == CHAT


async def test_a_stream_that_breaks_goes_on_where_it_was() -> None:
    whole = _events("Once", " upon", " a time")

    def answer(asked: Asked) -> None:
        seen = int(asked.headers["Last-Event-ID"])
        rest = [event for event in whole if event[0] > seen]
        asked.stream(rest[:2], whole=len(rest) <= 2)

    with stand_in(answer) as service:
        got = [pair async for pair in service.api.events("g1")]
    assert got == whole
    assert [asked.headers["Last-Event-ID"] for asked in service.asked] == ["0", "5", "17"]


async def test_what_comes_twice_is_told_once() -> None:
    whole = _events("Hello")

    def answer(asked: Asked) -> None:
        asked.stream(whole if asked.number else whole[:2], whole=bool(asked.number))

    with stand_in(answer) as service:
        assert [pair async for pair in service.api.events("g1")] == whole


async def test_a_service_that_remembers_less_than_was_seen_still_ends_the_answer() -> None:
    """It was killed before it could keep the last words: what it has ends before the place we ask for."""

    def answer(asked: Asked) -> None:
        if asked.path.endswith("/events"):
            asked.stream([] if asked.number else _events("Once upon a time")[:-1], whole=bool(asked.number))
        else:
            asked.json({"id": "g1", "state": "ended", "finish_reason": "interrupted"})

    with stand_in(answer) as service:
        events = [event async for _, event in service.api.events("g1")]
    message = assemble(events)
    assert (message.text, message.finish_reason) == ("Once upon a time", "interrupted")


async def test_events_of_a_newer_service_are_passed_over() -> None:
    def answer(asked: Asked) -> None:
        body = b'id: 1\ndata: {"type": "dance"}\n\nid: 2\ndata: {"type": "end", "mood": 1, "finish_reason": "stop"}\n\n'
        asked.raw(body, kind="text/event-stream")

    with stand_in(answer) as service:
        assert [event.type async for _, event in service.api.events("g1")] == ["end"]


async def test_an_error_is_raised_as_the_class_that_it_was() -> None:
    errors = [
        ({"code": "conflict", "message": "An answer is running.", "remedy": "Wait.", "request_id": "r"}, 409, Conflict),
        ({"code": "provider_auth", "message": "The key is wrong."}, 502, ProviderError),
        ({"code": "of_next_year", "message": "No such chat."}, 404, NotFound),
    ]
    for told, status, cls in errors:
        with (
            stand_in(lambda asked, told=told, status=status: asked.json({"error": told}, status)) as service,
            pytest.raises(cls) as caught,
        ):
            await service.api.chat("c1")
        assert caught.value.code == told["code"]
        assert caught.value.message == told["message"]
        assert caught.value.request_id == told.get("request_id")


@pytest.mark.parametrize(("body", "status"), [(b"<h1>It works!</h1>", 200), (b"<h1>Not here</h1>", 404)])
async def test_a_stranger_at_the_address_is_called_one(body: bytes, status: int) -> None:
    with stand_in(lambda asked: asked.raw(body, status)) as service:
        with pytest.raises(ServiceError, match="is not an llmws service"):
            await service.api.models()
        with pytest.raises(ServiceError, match="is not an llmws service"):
            await Given(service.api.address.url, None).check()


async def test_an_id_cannot_lead_elsewhere() -> None:
    with stand_in(lambda asked: asked.json(CHAT)) as service:
        await service.api.chat("../generations/1?x=")
    assert service.asked[0].path == "/api/chats/..%2Fgenerations%2F1%3Fx%3D"


async def test_a_service_that_stays_away_is_given_up_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmws.client.absence.AWAY_LIMIT_S", 0.2)
    with stand_in(lambda asked: None) as service:
        with pytest.raises(ServiceError, match=r"does not answer.*llmws status"):
            await service.api.models()
        with pytest.raises(ServiceError, match=r"does not answer.*llmws status"):
            _ = [event async for event in service.api.events("g1")]
    assert len(service.asked) > 2


async def test_a_service_that_was_ended_on_purpose_is_not_started_by_a_look(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmws.client.absence.STOPPED_LIMIT_S", 0.1)
    finder = Local(settings)
    with stand_in(lambda asked: None) as service:
        api = Api(finder, service.api.address)
        with pytest.raises(Stopped, match=r"was stopped.*connect"):
            await api.models()
    assert not settings.data.exists()


async def test_an_id_of_any_length_is_refused_in_words() -> None:
    finder = Given("http://127.0.0.1:1", "token")
    api = Api(finder, await finder.address())
    with pytest.raises(InvalidRequest, match="at most 255"):
        await api.chat("x" * 400_000)
    await api.aclose()
