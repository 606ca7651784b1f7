"""Providers as people configure them: an account at a vendor, its keys, which of its models are offered, to whom.

A key goes in and never comes out. A change is taken at once: after each one the registry of models reads what the store
says. Who may do what is in `provider_access`, whether a provider can be reached in `connections`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Path
from pydantic import Field, with_config
from sqlalchemy import Connection

from ..addresses import literal
from ..errors import Conflict, Error, Forbidden, InvalidRequest, NotFound
from ..http import is_address, quoted
from ..providers.catalog import Vendor
from ..store import capabilities as kept_capabilities
from ..store import derive_id
from ..store import providers as kept
from ..store.providers import Provider
from . import capabilities, provider_keys
from .access import Configurer, Reader, may
from .bodies import STRICT, Name, Text
from .here import CreatedId, TheStore
from .identity import Person
from .master_keys import TheMasterKeys
from .models import OURS, Models, Registry, TheModels, TheRegistry
from .provider_access import AskedProvider, ManagedProvider, MyProvider, SeenProvider, manages
from .provider_keys import GivenKey
from .sources import Source

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Address = Annotated[Text, Field(max_length=2048)]
Patterns = Annotated[list[Name], Field(max_length=1000)]
GivenModel = Annotated[Name, Path()]
Fallbacks = Annotated[list[Name], Field(max_length=10)]

router = APIRouter(prefix="/api/providers", tags=["providers"])


@with_config(STRICT)
@dataclass(frozen=True)
class NewProvider:
    """What a person says of a provider: all but its vendor has a default."""

    vendor: Name
    id: Slug | None = None
    name: Name | None = None
    base_url: Address | None = None
    key: GivenKey | None = None
    only: Patterns = field(default_factory=list)
    fallbacks: Fallbacks = field(default_factory=list)
    enabled: bool = True


@with_config(STRICT)
@dataclass(frozen=True)
class Changes:
    """What is to be different; an empty `base_url` is the vendor's own."""

    name: Name | None = None
    base_url: Address | None = None
    only: Patterns | None = None
    fallbacks: Fallbacks | None = None
    enabled: bool | None = None


@with_config(STRICT)
@dataclass(frozen=True)
class Correction:
    """What a person knows better than provider and catalogue: tokens of a context, else true or false."""

    value: bool | Annotated[int, Field(ge=1, le=2**31 - 1)]


def to_json(source: Source, person: Person) -> dict[str, Any]:
    """A provider as `person` may see it: of keys and sharing only its owner and administrators are told."""
    row, told = source.setup.row, manages(person, source.setup.row)
    problem, used = source.problem or (source.setup.unreadable if told else None), source.used()
    return {
        "id": row.id,
        "vendor": row.vendor,
        "name": row.name,
        "base_url": row.base_url,
        "owner": row.owner,
        "mine": row.owner == person.name,
        "shared_with": [{"kind": one.kind, "grantee": one.grantee} for one in source.setup.grants] if told else [],
        "enabled": row.enabled,
        "only": list(row.only),
        "fallbacks": list(row.fallbacks),
        "keys": [provider_keys.to_json(key, used.get(key.id)) for key in source.setup.key_rows] if told else [],
        "model_count": len(source.offered_to(person)) if source.is_seen_by(person) else len(source.listed),
        "listed_at": source.listed_at,
        "problem": problem_to_json(problem),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def problem_to_json(problem: Error | None) -> dict[str, Any] | None:
    told = problem.to_dict() if problem is not None else {}
    return {name: told[name] for name in ("code", "message", "remedy")} if told else None


# Providers


@router.get("")
async def list_providers(person: Reader, registry: TheRegistry, everyone: bool = False) -> dict[str, Any]:
    """The providers that one may use, oldest first; administrators may also look at `everyone`'s."""
    sources = registry.sources(None if everyone and may(person, "administer") else person)
    for source in sources:
        if source.setup.row.enabled and source.is_seen_by(person):
            source.refresh()
    return {"items": [to_json(source, person) for source in sources]}


@router.post("", status_code=201)
async def create(
    new: NewProvider,
    id: CreatedId,
    person: Configurer,
    models: TheModels,
    registry: TheRegistry,
    store: TheStore,
    master_keys: TheMasterKeys,
) -> dict[str, Any]:
    """Add a provider of one's own; its models can be asked at once, and are listed as soon as it answers."""
    vendor = vendor_of(new.vendor, registry)
    address = checked_address(new.base_url, vendor, registry)
    key = provider_keys.checked(new.key) if new.key is not None else None
    _check_fallbacks(new.fallbacks, models)

    def add(connection: Connection) -> Provider:
        row = kept.create(
            connection,
            person.name,
            id,
            vendor=vendor.id,
            name=new.name or vendor.name,
            id=new.id,
            base_url=address,
            only=new.only,
            fallbacks=new.fallbacks,
            enabled=new.enabled,
            taken=registry.reserved,
        )
        if row.vendor != vendor.id:
            raise Conflict("This Idempotency-Key added another provider.", remedy="Use a new key for each provider.")
        if key is not None:
            provider_keys.add(connection, master_keys, row.id, derive_id(row.id, id), key)
        return row

    source = await registry.reloaded((await store.write(add)).id)
    source.refresh()
    return {**to_json(source, person), "warnings": said_of(key, address, vendor, registry)}


@router.get("/{id}")
async def show(found: SeenProvider) -> dict[str, Any]:
    return to_json(*found)


@router.patch("/{id}")
async def change(
    changes: Changes, found: ManagedProvider, models: TheModels, registry: TheRegistry, store: TheStore
) -> dict[str, Any]:
    """Change what is given; others than its owner may only switch it off and on, for its keys are the owner's.

    Keys do not come along to another host: whoever got hold of a token would so be sent them.
    """
    given = {name: value for name, value in vars(changes).items() if value is not None}
    if found.row.owner != found.person.name and given.keys() - {"enabled"}:
        raise Forbidden(
            f"{found.row.name} belongs to {found.row.owner}, and can only be switched off.",
            remedy=f"Ask {found.row.owner} to change it.",
        )
    if changes.base_url is not None:
        vendor = vendor_of(found.row.vendor, registry)
        given["base_url"] = address = checked_address(changes.base_url, vendor, registry)
        host, before = (urlsplit(url or vendor.base_url) for url in (address, found.row.base_url))
        if found.source.setup.key_rows and (host.scheme, host.netloc) != (before.scheme, before.netloc):
            raise Conflict(
                f"The keys of {found.row.name} were given for {before.netloc}, and go nowhere else.",
                remedy="Remove them, change the address, and enter them again.",
            )
    _check_fallbacks(changes.fallbacks or (), models)
    await store.write(kept.update, found.row.id, **given)
    return to_json(await registry.reloaded(found.row.id), found.person)


@router.delete("/{id}", status_code=204)
async def remove(found: ManagedProvider, registry: TheRegistry, store: TheStore) -> None:
    """Forget a provider, with its keys and with whom it was shared; what was said and spent stays."""
    await store.write(kept.remove, found.row.id)
    await registry.reload()


@router.post("/{id}/sync")
async def sync(found: AskedProvider) -> dict[str, Any]:
    """Ask for the list of models now; where that fails, the last good one stays, with the `problem`."""
    await found.source.list_now()
    return to_json(*found)


# Models of a provider


@router.get("/{id}/models")
# In a thread, as FastAPI calls what does not wait: many prices are to be looked for.
def list_models(found: SeenProvider, registry: TheRegistry) -> dict[str, Any]:
    """Its models with what is known of each, and who says so; its owner also sees those that are not offered."""
    source, person = found
    told = manages(person, found.row)
    shown = [info for info in source.listed if told or source.offers(info.id, person)]
    return {
        "items": [
            {
                "id": f"{source.id}/{info.id}",
                "name": info.name,
                "offered": source.is_offered(info.id),
                "capabilities": [asdict(known) for known in source.known(info)],
                "price": price.to_dict() if (price := registry.price_of(f"{source.id}/{info.id}", source.id)) else None,
            }
            for info in shown
        ],
        "listed_at": source.listed_at,
    }


@router.put("/{id}/models/{model:path}/capabilities/{name}")
async def correct(
    model: GivenModel, name: str, said: Correction, found: MyProvider, registry: TheRegistry, store: TheStore
) -> dict[str, Any]:
    """Know better what a model can do than who says so now; see `NAMES` for what can be known."""
    if name not in capabilities.NAMES or isinstance(said.value, bool) == (name == "context"):
        known = ", ".join(capabilities.NAMES)
        raise InvalidRequest(
            f"That cannot be said of {name!r}.",
            remedy=f"There are {known}: the first in tokens, the rest true or false.",
        )
    kept_one = await store.write(kept_capabilities.put, found.row.id, model, name, said.value, "person")
    await registry.reload()
    return {"name": name, "value": kept_one.value, "source": kept_one.source, "checked_at": kept_one.checked_at}


@router.delete("/{id}/models/{model:path}/capabilities/{name}", status_code=204)
async def take_back(model: GivenModel, name: str, found: MyProvider, registry: TheRegistry, store: TheStore) -> None:
    """Believe the others again."""
    await store.write(kept_capabilities.remove, found.row.id, model, name, "person")
    await registry.reload()


def vendor_of(id: str, registry: Registry) -> Vendor:
    """The vendor of this id, or `InvalidRequest` where a provider can be of none such."""
    if id in OURS or id not in registry.vendors:
        raise InvalidRequest(f"There is no vendor {id!r}.", remedy="Choose one of GET /api/vendors.")
    return registry.vendors[id]


def checked_address(given: str | None, vendor: Vendor, registry: Registry) -> str | None:
    """The address `given` as it is kept; None where it is the vendor's own.

    A name is judged when it is connected to; what is wrong already as it is written is said here.

    Raises:
        InvalidRequest: it is none of a model server, or one that may not be asked.
    """
    url = (given or "").strip().rstrip("/") or vendor.base_url
    kept_url = None if url == vendor.base_url else url
    if not url:
        raise InvalidRequest(f"{vendor.name} has no address of its own.", remedy="Give its `base_url`.")
    if "?" in url or "#" in url:
        raise InvalidRequest("There is a `?` or a `#` in the address.", remedy="Leave out what begins there.")
    if not is_address(url):
        raise InvalidRequest(
            "This is not the address of a model server.",
            remedy="It is like https://api.example.com/v1 or http://localhost:8000/v1.",
        )
    parts = urlsplit(quoted(url))  # as it will be asked: there are many ways to write a host
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest("There is a name or a password in the address.", remedy="Leave it out: give a `key`.")
    host = parts.hostname or ""
    local = host == "localhost" or host.endswith(".localhost")
    at = "127.0.0.1" if local else str(literal(host) or "")
    addresses = registry.addresses(vendor.id, kept_url)
    if at and not addresses.allows(host, at):
        raise InvalidRequest(
            f"{host} may not be asked from here.",
            remedy="Choose another address, or have an administrator name it in LLMWS_PROVIDER_HOSTS."
            if not addresses.private_allowed
            else "Link-local addresses and those of a cloud's metadata are nobody's provider.",
        )
    return kept_url


def said_of(key: str | None, address: str | None, vendor: Vendor, registry: Registry) -> list[str]:
    """What looks odd about `key`, or about sending it to `address`."""
    if key is None:
        return []
    parts = urlsplit(quoted(address or vendor.base_url))
    host = parts.hostname or ""
    found = literal(host)
    near = host == "localhost" or (found is not None and not found.is_global)
    clear = [] if parts.scheme == "https" or near else [f"The key travels to {host} unencrypted: better is https://."]
    return [*provider_keys.warnings(key, vendor, registry.vendors), *clear]


def _check_fallbacks(fallbacks: Iterable[str], models: Models) -> None:
    for model in fallbacks:
        try:
            models.choose(model)
        except NotFound:
            raise InvalidRequest(
                f"There is no model {model!r} to fall back to.", remedy="See client.models()."
            ) from None
        except Error:
            pass  # it is there, and may get its key later
