"""The service put together: its parts, the routes, and what every request passes first.

`create_app` starts nothing: parts begin with the application's lifespan. How a process becomes the service of a data
folder is `__main__`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ..instance import Instance
from ..settings import Settings
from ..store import Store
from . import chats, comparisons, docs, downloads, edge, generations, models, presence, status, tickets
from .identity import Identity, LocalIdentity


def create_app(
    settings: Settings, store: Store, instance: Instance, leave: Callable[[], None], identity: Identity | None = None
) -> FastAPI:
    """The service's application.

    Args:
        instance: who this service is; its token is the laptop's.
        leave: ends the process; called when the service is idle or told to stop.
        identity: says whose token a request carries; a laptop's own unless given.
    """
    identity = identity or LocalIdentity(instance.token)
    app = FastAPI(
        title="llmws", version=instance.version, lifespan=_lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    state = app.state
    state.settings, state.store, state.instance, state.leave = settings, store, instance, leave
    state.models = models.Registry(settings)
    state.generations = generations.Generations(store)
    state.tickets = tickets.Tickets.of(settings.data)
    state.presence = presence.Presence(settings.idle_exit_s, lambda: state.generations.running > 0, leave)
    for module in (chats, comparisons, docs, downloads, generations, models, presence, status, tickets):
        app.include_router(module.router)
    for kind in (RequestValidationError, HTTPException):
        app.add_exception_handler(kind, edge.on_error)
    # The last one added is the first that a request meets.
    app.add_middleware(edge.Authentication, identity=identity)
    app.add_middleware(edge.BodyLimit)
    app.add_middleware(edge.Hosts, hosts=identity.hosts)
    app.add_middleware(edge.Requests)
    return app


async def drain(app: FastAPI) -> None:
    """End what would keep connections open, before the server waits for them: answers and presence streams."""
    app.state.presence.close()
    await app.state.generations.drain()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = app.state
    await state.models.start()
    watching = asyncio.create_task(state.presence.watch())
    yield
    watching.cancel()
    await drain(app)
    await state.models.stop()
