"""Lets what a browser holds for a server live on while it is used, so that a page may stay open for days.

JupyterHub gives the browser a token for each server, which ends a fixed time after it was made (`LIFETIME_S`), in the
midst of work, and there are no refresh tokens. A page that is open cannot be sent to sign in anew without losing what
stands in it. Here each use that the hub learns of moves the end away from now: who is idle for a whole lifetime signs
in again, who works does not. What is revoked stays so: signing out deletes the token, and nothing can use it again. The
cookie that holds it is thirty days old at most, whatever is done with it.

A server asks the hub about a token only where a request comes, and at most every few minutes (`HubAuth.cache_max_age`).
JupyterLab asks its server for something all the time; for a dashboard, `sockets.KernelSocket` asks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from sqlalchemy import event

LIFETIME_S = 24 * 3600


def renew_what_is_used() -> None:
    """Have the hub of this process do so, from now on."""
    if not event.contains(orm.APIToken.last_activity, "set", _renew):
        event.listen(orm.APIToken.last_activity, "set", _renew)


def _renew(token: orm.APIToken, _used: Any, _before: Any, _initiator: Any) -> None:
    # Only sign-ins of browsers belong to a session. What people make for their programs ends when they said.
    if token.session_id and token.expires_at is not None and not token.expired:
        token.expires_at = token.now() + timedelta(seconds=JupyterHub.instance().oauth_token_expires_in)
