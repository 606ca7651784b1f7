"""The service put together: its parts, the routes, and what every request passes first.

`create_app` starts nothing: parts begin with the application's lifespan. How a process becomes the service of a data
folder is `__main__`'s business.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ..instance import Instance
from ..settings import Settings
from ..store import Store
from . import (
    adapters,
    assistants,
    attachments,
    chats,
    comparisons,
    connections,
    datasets,
    docs,
    edge,
    exchange_rates,
    exports,
    gateway,
    generations,
    grants,
    imports,
    jobs,
    limits,
    links,
    master_keys,
    me,
    models,
    presence,
    prices,
    probes,
    provider_keys,
    providers,
    refusals,
    runners,
    shares,
    status,
    tickets,
    titles,
    training,
    turns,
    usage,
    vendors,
)
from .erasing import Erasing
from .identity import Identity, LocalIdentity
from .ledger import Ledger
from .local_runner import LocalRunner
from .progress import Feed
from .scheduling import Scheduler
from .secrets import MasterKeys

# The gateway comes first: routes are tried in turn, and nothing else is asked for as often.
ROUTERS = (
    gateway,
    assistants,
    attachments,
    chats,
    comparisons,
    connections,
    datasets,
    docs,
    exchange_rates,
    exports,
    generations,
    grants,
    imports,
    jobs,
    limits,
    links,
    master_keys,
    me,
    models,
    presence,
    probes,
    prices,
    provider_keys,
    providers,
    runners,
    shares,
    status,
    tickets,
    training,
    turns,
    usage,
    vendors,
)


def create_app(
    settings: Settings,
    store: Store,
    instance: Instance,
    leave: Callable[[], None],
    identity: Identity | None = None,
    prefix: str = "",
) -> FastAPI:
    """The service's application.

    Args:
        instance: who this service is; its token is the laptop's.
        leave: ends the process; called when the service is idle or told to stop.
        identity: says whose token a request carries; a laptop's own unless given.
        prefix: the path, without a slash at its end, that a proxy in front forwards as it is.
    """
    runner, hub = None, identity is not None
    if identity is None:
        runner_token = secrets.token_urlsafe(32)
        identity = LocalIdentity(instance.token, runner_token=runner_token)
        runner = LocalRunner(settings, instance.url, runner_token)
    app = FastAPI(
        title="llmws",
        version=instance.version,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses=refusals.OWN,
        # It asks the environment at each request whether somebody wants to be told of it.
        telemetry={"tracing": False, "metrics": False},
    )
    state = app.state
    state.settings, state.store, state.instance, state.leave = settings, store, instance, leave
    state.identity = identity
    state.master_keys = MasterKeys(settings.data, settings.master_key)
    state.prices = prices.Prices(store, vendor_of=lambda provider_id: state.models.vendor_of(provider_id))
    state.ledger = Ledger(store, state.prices)
    state.models = models.Registry(
        settings, store, state.master_keys, hub=hub, prices=state.prices, admit=state.ledger.admit
    )
    state.limits = state.ledger.limits
    state.generations = generations.Generations(store, state.ledger)
    state.imports = imports.Imports(settings.data / "imports", store, settings.attachments_mib << 20)
    state.titles = titles.Titles(settings, store, state.generations, state.ledger)
    state.tickets = tickets.Tickets.of(settings.data)
    state.missed_links = links.Misses()
    state.runner, state.feed = runner, Feed()
    state.bases, state.datasets = training.Bases(settings), datasets.Datasets(settings)
    state.scheduler = Scheduler(settings, store, state.feed, runner)
    state.adapters = adapters.Adapters(settings, store, state.feed, state.models.embedded, state.bases)
    state.presence = presence.Presence(settings.idle_exit_s, lambda: _is_busy(app), leave)
    state.erasing = Erasing(store, state.generations, state.presence.away)
    for module in ROUTERS:
        app.include_router(module.router)
    for kind in (RequestValidationError, HTTPException):
        app.add_exception_handler(kind, edge.on_error)
    # The last one added is the first that a request meets.
    app.add_middleware(gateway.Express, routes=gateway.router.routes)
    app.add_middleware(edge.Authentication, identity=identity)
    app.add_middleware(edge.BodyLimit)
    app.add_middleware(edge.Hosts, hosts=identity.hosts)
    app.add_middleware(edge.Requests)
    app.add_middleware(edge.Prefix, prefix=prefix)
    return app


async def drain(app: FastAPI) -> None:
    """End what would keep connections open, before the server waits for them: answers, streams, waiting runners."""
    app.state.presence.close()
    app.state.feed.close()
    await app.state.imports.drain()
    await app.state.generations.drain()


def _is_busy(app: FastAPI) -> bool:
    state = app.state
    return state.generations.running > 0 or any(part.busy for part in (state.scheduler, state.adapters, state.imports))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = app.state
    await state.adapters.restore()
    await state.models.start()
    # After the models: what was broken off is priced by whose they are.
    await state.ledger.start(generations.interrupted)
    await state.imports.start()
    tasks = [asyncio.create_task(part.run()) for part in (state.scheduler, state.runner) if part is not None]
    tasks += [asyncio.create_task(part) for part in (state.presence.watch(), state.erasing.run())]
    yield
    for task in tasks:
        task.cancel()
    await drain(app)
    await asyncio.gather(*tasks, state.titles.stop(), state.adapters.stop(), return_exceptions=True)
    await state.ledger.stop()
    await state.models.stop()
    await state.identity.aclose()
