"""Which provider a route is about, and whether the person may: seen by whom it is shared with, managed by its owner.

What money and keys go where is the owner's alone. An administrator may besides see every provider, switch it off, and
remove it with its keys and grants; what belongs to others is not spent by that.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from ..errors import Forbidden, NotFound
from ..store.providers import Provider
from .access import Configurer, Reader, Rule, may
from .identity import Person
from .models import Registry, TheRegistry
from .sources import Source

_ADMINISTER = Rule("administer")


def manages(person: Person, row: Provider) -> bool:
    """Whether `person` is told what only its owner and administrators are."""
    return row.owner == person.name or may(person, "administer")


def seen(registry: Registry, id: str, person: Person) -> Source:
    """The provider of this id, or `NotFound` where there is none for `person`."""
    source = registry.source(id)
    if source is None or not (source.is_seen_by(person) or may(person, "administer")):
        raise NotFound(f"There is no provider {id!r}.", remedy="See client.providers.list() for those there are.")
    return source


class Found(NamedTuple):
    """A provider, and who asks for it."""

    source: Source
    person: Person

    @property
    def row(self) -> Provider:
        return self.source.setup.row


async def _seen(id: str, person: Reader, registry: TheRegistry) -> Found:
    return Found(seen(registry, id, person), person)


async def _asked(id: str, person: Configurer, registry: TheRegistry) -> Found:
    return Found(seen(registry, id, person), person)


async def _mine(id: str, person: Configurer, registry: TheRegistry) -> Found:
    return owned(registry, id, person)


def owned(registry: Registry, id: str, person: Person) -> Found:
    """A provider of the person's own; of another's they are told whose it is."""
    found = Found(_stored(registry, id, person), person)
    if found.row.owner != person.name:
        owner = found.row.owner
        raise Forbidden(
            f"{found.source.name} belongs to {owner}.", remedy=f"Ask {owner}, or add a provider of your own."
        )
    return found


async def _managed(id: str, request: Request, person: Configurer, registry: TheRegistry) -> Found:
    found = Found(_stored(registry, id, person), person)
    if found.row.owner != person.name:
        await _ADMINISTER(request)
    return found


def _stored(registry: Registry, id: str, person: Person) -> Source:
    source = seen(registry, id, person)
    if source.setup.row.owner == "":
        raise Forbidden(f"{source.name} is written in a file.", remedy="Change it in the file of LLMWS_PROVIDERS.")
    return source


# One that the person may use anything of: to look at, and to ask for its list anew.
SeenProvider = Annotated[Found, Depends(_seen)]
AskedProvider = Annotated[Found, Depends(_asked)]
# One of the person's own; and one that they may switch off or remove besides.
MyProvider = Annotated[Found, Depends(_mine)]
ManagedProvider = Annotated[Found, Depends(_managed)]
