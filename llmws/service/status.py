"""What `llmws status` shows, the health check, and the way to stop the service from outside."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from ..instance import Instance
from .access import Administrator, Open, Reader
from .generations import TheGenerations
from .here import TheSettings, here
from .models import TheModels
from .presence import ThePresence
from .runners import TheScheduler
from .training import describe_environment

TheInstance = Annotated[Instance, here("instance")]
router = APIRouter(tags=["service"])


@router.get("/healthz", dependencies=[Depends(Open("says nothing but that the service is up"))])
async def health(instance: TheInstance) -> dict[str, Any]:
    return {
        "status": "ok",
        "version": instance.version,
        "api_version": instance.api_version,
        "boot_id": instance.boot_id,
    }


@router.get("/api/status")
async def status(
    person: Reader,
    settings: TheSettings,
    instance: TheInstance,
    models: TheModels,
    generations: TheGenerations,
    scheduler: TheScheduler,
    presence: ThePresence,
) -> dict[str, Any]:
    """How the service is: where it runs, its models, who is there, what runs, the disk."""
    service = {name: value for name, value in asdict(instance).items() if name != "token"}
    disk = shutil.disk_usage(settings.data)
    embedded = models.embedded.server if models.embedded is not None else None
    return {
        "service": {**service, "account": person.name, "data": str(settings.data), "idle_exit_s": settings.idle_exit_s},
        "models": [asdict(model) for model in await models.list()],
        "embedded": {"first_token_s": embedded.first_token_s if embedded is not None else None},
        "clients": presence.clients,
        "running": {"generations": generations.running, "jobs": scheduler.running},
        "disk": {"free_bytes": disk.free, "total_bytes": disk.total},
        "training": await asyncio.to_thread(describe_environment, settings),
    }


@router.post("/api/shutdown", status_code=202)
async def shutdown(person: Administrator, leave: Annotated[Callable[[], None], here("leave")]) -> dict[str, Any]:
    """End the service; what runs is interrupted and kept."""
    leave()
    return {}
