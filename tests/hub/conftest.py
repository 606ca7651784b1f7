"""What the hub's tests share: one real hub, as root, with people in three groups."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from .running import PEOPLE, Person, RunningHub, open_folder, readable_python
from .workshop import workshop

# The tests' vendors of models are on this host, where an administrator has to let people's providers be.
HERE = {"LLMWS_PROVIDER_HOSTS": "127.0.0.1/32"}


@pytest.fixture(scope="session")
def hub() -> Iterator[RunningHub]:
    """A hub with service, runner, culler and proxy, each under an account of its own, and six people."""
    assert os.geteuid() == 0, "These tests give people accounts of their own: run them as root."
    assert shutil.which("setpriv"), "These tests need setpriv: apt-get install util-linux."
    with open_folder() as folder:
        python = readable_python(folder)
        hub = RunningHub(folder, python, environment=workshop(folder, python) | HERE)
        try:
            hub.start()
            hub.stop()
            hub.settle()
            hub.start()
            yield hub
        finally:
            hub.remove()


@pytest.fixture
def sign_in(hub: RunningHub) -> Iterator[Callable[[str], Person]]:
    """Signs people in, each in a browser of its own."""
    people: list[Person] = []

    def enter(name: str) -> Person:
        assert name in PEOPLE
        people.append(Person(hub, name))
        return people[-1]

    yield enter
    for person in people:
        person.close()
