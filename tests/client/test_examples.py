"""The examples of client and pages run, against a real service, and every public name has one."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator

import pytest

import llmws
from llmws.client import Client, assistants, chats, choices, jobs, library, providers, sharing, tools, turns
from llmws.client import client as client_module
from llmws.settings import Settings
from llmws.ui import chats as chats_page
from llmws.ui import compare as compare_page
from llmws.ui import finetune as finetune_page
from llmws.ui import providers as providers_page
from tests.service.harness import Running, running_service
from tests.service.workshop import Workshop

MODULES = [
    assistants,
    chats,
    choices,
    client_module,
    jobs,
    library,
    providers,
    sharing,
    tools,
    turns,
    chats_page,
    compare_page,
    finetune_page,
    providers_page,
]
EXAMPLES = {test.name: test for module in MODULES for test in doctest.DocTestFinder().find(module) if test.examples}
# Values that say all there is to say in a sentence; what makes them has the example.
PLAIN = {"Parameters", "Part", "Timing", "Usage", "errors"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all examples, with the embedded model; only the trainer is scripted."""
    folder = tmp_path_factory.mktemp("examples")
    workshop = Workshop.make(folder, Settings(data=folder / "data", idle_exit_s=0), served=True)
    with running_service(workshop.settings) as running:
        yield running
    workshop.clear()


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str, client: Client, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMWS_URL", service.instance.url)
    monkeypatch.setenv("LLMWS_TOKEN", service.instance.token)
    test = EXAMPLES[name]
    test.globs.update(client=client, llmws=llmws, ui=llmws.ui)
    told: list[str] = []
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append).failed
    assert failed == 0, "".join(told)


def _public() -> Iterator[tuple[str, str]]:
    for name in set(llmws.__all__) - PLAIN:
        yield name, inspect.getdoc(getattr(llmws, name)) or ""
    classes = (assistants.Assistant, assistants.Assistants, sharing.Linkable, sharing.Shareable, sharing.SharedChats)
    for cls in (
        llmws.Client,
        llmws.Chat,
        llmws.Job,
        chats.Chats,
        jobs.Jobs,
        providers.Providers,
        turns.Turns,
        *classes,
    ):
        for name, member in vars(cls).items():
            if not name.startswith("_") and inspect.isfunction(member):
                yield f"{cls.__name__}.{name}", inspect.getdoc(member) or ""


@pytest.mark.parametrize(("name", "doc"), sorted(_public()))
def test_every_public_name_has_an_example(name: str, doc: str) -> None:
    assert ">>> " in doc or name == "assemble", "say in an example what it is for"
