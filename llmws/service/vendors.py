"""The vendors that a provider can be of: the rows of the catalogue, and of the file that an administrator wrote."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from .access import Reader
from .models import OURS, TheRegistry

_TOLD = ("id", "name", "wire", "base_url", "needs_key", "key_hint", "docs")

router = APIRouter(prefix="/api/vendors", tags=["providers"])


@router.get("")
async def list_vendors(_: Reader, registry: TheRegistry) -> dict[str, Any]:
    """What a provider can be of, each with its address and what its keys look like; what is served here is left out."""
    rows = (asdict(vendor) for vendor in registry.vendors.values() if vendor.id not in OURS)
    return {"items": [{name: row[name] for name in _TOLD} for row in rows]}
