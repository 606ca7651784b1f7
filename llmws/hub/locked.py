"""A business user's own server on a hub: Voilà, locked.

``python -m llmws.hub.locked`` shows the dashboards that come along, and nothing else. JupyterHub's identity stands in
front of every route, Voilà's filter lets no page execute code, and nothing that lies in the home is read. Whoever
executes code in a kernel all the same has the account of one person, and what their token may do.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server._tz import utcnow
from jupyter_server.auth.logout import LogoutHandler
from jupyter_server.utils import url_path_join
from jupyterhub import __version__ as hub_version
from jupyterhub.log import log_request
from jupyterhub.services.auth import HubOAuth
from jupyterhub.singleuser.extension import (
    JupyterHubAuthorizer,
    JupyterHubIdentityProvider,
    JupyterHubOAuthCallbackHandler,
    JupyterHubSingleUser,
)
from tornado import web
from tornado.ioloop import IOLoop
from traitlets import Unicode, default
from voila.request_info_handler import RequestInfoSocketHandler
from voila.tornado.contentshandler import VoilaContentsHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler
from voila.tornado.treehandler import TornadoVoilaTreeHandler

from ..settings import Settings, jupyter_search_paths
from ..shipped import shipped
from . import door
from .front_end import OneScript
from .guard import LAST_REQUEST, guard, guarded
from .landing import LandingHandler, LanguageHandler, NotFoundHandler, PageHandler, cards, is_dashboard, without_card
from .preheating import PreheatedKernels
from .sockets import KernelSocket

# Pages that one person may have open at once; a kernel that waits, preheated, for the next page is not counted.
MOST_PAGES = 12
# A kernel whose page went away without saying so (a crash, a laptop that was closed) ends after this.
LEFT_ALONE_S, _CULL_EVERY_S = 900, 60
# Who opens a page while the last one's place is still empty should not wait for more than the kernel.
_REFILL_S = 1.0
_ENOUGH = "Too many pages are open. Close one of them, and try again in a minute."


class Render(TornadoVoilaHandler, PageHandler):
    """A dashboard's page: one of those that there are, and not more at once than a person can look at."""

    def initialize(self, **more: Any) -> None:
        self._pages: Pages = more.pop("pages")
        super().initialize(**more)

    @web.authenticated
    async def get(self, path: str = "") -> None:
        if not is_dashboard(self._pages.folder, path):
            raise web.HTTPError(404, "There is no such dashboard.")
        if self._pages.are_too_many():
            raise web.HTTPError(503, _ENOUGH)
        # The page shows this cookie's value when it is left, and its kernel may end.
        _ = self.xsrf_token
        with self._pages.opening():
            await ensure_async(super().get(path))


class Pages:
    """The dashboards of a folder, and how many pages of them are open."""

    def __init__(self, folder: Path, kernels: Any) -> None:
        self.folder = folder
        self._kernels = kernels
        self._opening = 0

    def are_too_many(self) -> bool:
        """Whether one more could not be opened; those whose kernel is being started are counted, too."""
        waiting = sum(self._kernels.get_pool_size(notebook) for notebook in self._kernels.notebook_data)
        return len(self._kernels.list_kernel_ids()) - waiting + self._opening >= MOST_PAGES

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        self._kernels.page_is_asked_for()
        self._opening += 1
        try:
            yield
        finally:
            self._opening -= 1


class LockedDashboards(OneScript):
    """Voilà as a person's own server on a hub; everything that a home or an address could change is fixed here."""

    name = "llmws-dashboards"
    first = Unicode(
        help="The dashboard that the person is on the way to: kernels for the others are started once it is shown."
    ).tag(config=True)
    # The kernels ask here, without a cookie, who opened their page: a path that only they know.
    query_path = ""

    @default("config_file_paths")
    def _config_file_paths_default(self) -> list[str]:
        return [str(Path(jupyter_search_paths({})["JUPYTER_CONFIG_PATH"]))]

    def initialize(self, argv: Sequence[str] | None = None) -> None:
        self.identity_provider_class, self.authorizer_class = JupyterHubIdentityProvider, JupyterHubAuthorizer
        folder = shipped("notebooks") / "dashboards"
        super().initialize([str(folder), "--no-browser", *(argv or ())])
        self.ip, self.port_retries = "127.0.0.1", 0
        pages = self.voila_configuration
        pages.allow_template_override = pages.allow_theme_override = "NO"
        pages.show_tracebacks, pages.strip_sources = False, True
        pages.preheat_kernel, pages.default_pool_size = True, 1
        pages.multi_kernel_manager_class = PreheatedKernels
        # Pages are rendered before their visitor, and the visitor's colours, are known.
        self.config.VoilaConfiguration.resources = {"follow_system": True, "has_cards": True}
        self._later = [card.path for card in cards(folder) if self.first and card.path != self.first]
        cold = [f"{re.escape(str(Path(self.root_dir) / path))}$" for path in (*without_card(folder), *self._later)]
        self.config.VoilaKernelManager.update({"preheat_denylist": cold, "fill_delay": _REFILL_S})
        # On a loopback port, everybody on this host could subscribe to what a kernel says.
        self.config.KernelManager.transport = "ipc"
        self.config.MappingKernelManager.update(
            {"cull_idle_timeout": LEFT_ALONE_S, "cull_interval": _CULL_EVERY_S, "cull_connected": False}
        )

    def init_settings(self) -> dict[str, Any]:
        hub_auth = JupyterHubIdentityProvider(parent=self).hub_auth
        self.base_url = self.server_url = hub_auth.base_url
        return {
            **super().init_settings(),
            "allow_unauthenticated_access": False,
            # Tornado's own check runs before it is known who asks; Jupyter's and the hub's run after that.
            "xsrf_cookies": False,
            # What a script may do is said by the template's own policy; frames can be forbidden in a header only.
            "headers": {"X-JupyterHub-Version": hub_version, "Content-Security-Policy": "frame-ancestors 'none'"},
            "default_handler_class": guard(NotFoundHandler),
            "log_function": log_request,
            LAST_REQUEST: utcnow(),
        }

    def init_handlers(self) -> list[Any]:
        folder, identity = Path(self.root_dir), self.identity_provider
        pages = Pages(folder, self.kernel_manager)
        routes: list[tuple[Any, ...]] = [
            (self.server_url, LandingHandler, {"folder": folder}),
            (self._at("/language"), LanguageHandler),
            *door.handlers(self.server_url, Settings.from_environment()),
        ]
        for pattern, handler, *more in super().init_handlers():
            if handler is TornadoVoilaHandler:
                routes.append((pattern, Render, {**more[0], "pages": pages}))
            elif handler is VoilaKernelWebsocketHandler:
                routes.append((pattern, KernelSocket, *more))
            elif not issubclass(handler, _LEFT_OUT):
                routes.append((pattern, handler, *more))
        # These know by themselves whom they let in: the hub's answer, one who leaves, and our own kernels.
        return [
            (self._at("/oauth_callback"), JupyterHubOAuthCallbackHandler, {"hub_auth": identity.hub_auth}),
            (self._at("/logout"), identity.logout_handler_class),
            (self._at(f"/{self.query_path}/voila/query/([0-9a-f-]+)"), RequestInfoSocketHandler),
            *guarded(routes),
        ]

    def listen(self) -> None:
        """Serve, behind a proxy that says whose request it passes on, and tell the hub what goes on here."""
        self.app.listen = partial(self.app.listen, xheaders=True)
        hub = JupyterHubSingleUser(parent=self)
        hub.serverapp = SimpleNamespace(web_app=SimpleNamespace(last_activity=self.last_activity), log=self.log)
        IOLoop.current().add_callback(hub.keep_activity_updated)
        if self.first:
            self.kernel_manager.begin_with_one(self._later)
        super().listen()

    def last_activity(self) -> datetime:
        """When a page was last opened, or a kernel last did something."""
        return max(self.app.settings[LAST_REQUEST], self.kernel_manager.last_kernel_activity)

    def _at(self, path: str) -> str:
        return str(url_path_join(self.server_url, path))


# The landing page takes the place of Voilà's tree; the hub's own handlers are added where they are reached.
_LEFT_OUT = (
    TornadoVoilaTreeHandler,
    VoilaContentsHandler,
    RequestInfoSocketHandler,
    JupyterHubOAuthCallbackHandler,
    LogoutHandler,
)


def main() -> None:
    """Serve until the hub ends this process.

    What a home holds was perhaps left there by a kernel that somebody took over. Neither this server nor a later kernel
    reads configuration, kernel specifications, packages or startup files from it.
    """
    with tempfile.TemporaryDirectory(prefix="llmws-dashboards-") as scratch:
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        LockedDashboards.query_path = f"llmws-query-{secrets.token_hex(32)}"
        told = {**jupyter_search_paths({}), **{name: str(Path(scratch) / name.lower()) for name in names}}
        told |= {"PYTHONNOUSERSITE": "1", "VOILA_APP_IP": "127.0.0.1"}
        told |= {"VOILA_WS_BASE_URL": f"{HubOAuth().base_url}{LockedDashboards.query_path}/"}
        os.environ.update(told)
        LockedDashboards.launch_instance([f"--Voila.connection_dir_root={scratch}", *sys.argv[1:]])


if __name__ == "__main__":
    main()
