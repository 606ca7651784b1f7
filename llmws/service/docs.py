"""The routes, as OpenAPI and on one plain page.

FastAPI's own page loads a script from a public CDN, so that it is empty when offline.
"""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from .access import Open

router = APIRouter()

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>llmws: routes</title>
<style>:root{{color-scheme:light dark}}body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto}}
td{{padding:.25rem .75rem .25rem 0;vertical-align:top}}code{{font-size:.95em}}</style>
<h1>Routes of llmws</h1><p>As data, with every field: <a href="openapi.json">openapi.json</a>.
All but the open ones need <code>Authorization: Bearer TOKEN</code>.</p><table>{rows}</table></html>"""


_NO_SECRET = [Depends(Open("it says what the source code says"))]


@router.get("/openapi.json", include_in_schema=False, dependencies=_NO_SECRET)
async def describe(request: Request) -> dict[str, Any]:
    description: dict[str, Any] = request.app.openapi()
    return description


@router.get("/docs", include_in_schema=False, dependencies=_NO_SECRET)
async def show(request: Request) -> HTMLResponse:
    rows = [
        f"<tr><td><code>{method.upper()}</code><td><code>{escape(path)}</code><td>{escape(told.get('description', ''))}"
        for path, methods in request.app.openapi()["paths"].items()
        for method, told in methods.items()
    ]
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(_PAGE.format(rows="".join(rows)), headers=headers)
