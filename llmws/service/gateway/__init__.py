"""The gateway: every model of the workspace under ``/v1``, for programs that speak a wire of OpenAI or Anthropic.

A call here is no generation: it takes the same metering path, but whoever hangs up has ended it, and of what was said
nothing is kept. Each wire is a pure module that reads a request into our nouns and tells an answer in its own words;
`calls` carries a request from the one to the other, whatever the wire of the model that is asked.
"""

from __future__ import annotations

from .express import Express
from .routes import router

__all__ = ["Express", "router"]
