"""Kernels that count as activity while they work, so that no server is ended under a long computation."""

from __future__ import annotations

from datetime import datetime

from jupyter_server._tz import utcnow
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager


class WatchedKernels(AsyncMappingKernelManager):
    """Jupyter's kernels; their last activity, which a server tells its hub, is now while one of them is busy.

    Jupyter itself counts messages only: a cell that computes for hours and prints nothing would look idle.
    """

    @property
    def last_kernel_activity(self) -> datetime:
        busy = any(getattr(kernel, "execution_state", None) == "busy" for kernel in self._kernels.values())
        return utcnow() if busy else self._last_message

    @last_kernel_activity.setter
    def last_kernel_activity(self, moment: datetime) -> None:
        self._last_message = moment
