"""The child process that holds llama.cpp: ``python -m llmws.serving.server``, started by `child` and nobody else.

llama.cpp's HTTP server is C++ in this process: a crash in it must not take the service along. The configuration comes
as one JSON line on stdin (a command line can be read by every account, and this one holds the API key), one JSON line
on stdout says where it listens or why not, and the log goes to stderr. Stdin stays open as the sign that the parent
lives: when it closes, however the parent ended, so does this process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any


def parameters(config: dict[str, Any], xllamacpp: Any) -> Any:
    """llama.cpp's parameters for `config` (see `child.ServerConfig`)."""
    wanted = xllamacpp.CommonParams()
    wanted.model.path = config["model"]
    wanted.model_alias = {config["alias"]}
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = 0
    wanted.api_keys = [config["api_key"]]
    # The context is shared out among the slots, so each gets the whole of what a conversation may fill.
    wanted.n_parallel = config["parallel"]
    wanted.n_ctx = config["context"] * config["parallel"]
    wanted.cpuparams.n_threads = config["threads"]
    wanted.cpuparams_batch.n_threads = config["threads"]
    wanted.use_jinja = True
    wanted.ui = False
    wanted.endpoint_slots = False  # it would show everybody's prompts
    wanted.offline = True
    wanted.verbosity = 2
    wanted.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 1.0) for path in config["adapters"]]
    wanted.lora_init_without_apply = True  # each request says which one it wants
    if config["adapters"]:
        # This cache finds a prompt whoever read it: what one adapter had made of it would answer for another.
        wanted.cache_ram_mib = 0
    return wanted


def die_with_parent() -> None:
    """Wait for the end of stdin, then leave at once: a tear-down could wait for a generation."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def main() -> None:
    # Unbuffered, so that nothing is read ahead of `die_with_parent`.
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        config = json.loads(stdin.readline())
    watch = threading.Thread(target=die_with_parent, daemon=True)
    watch.start()
    # Only our one line may reach the parent: whatever else prints to stdout goes where the log goes.
    parent = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(line: dict[str, Any]) -> None:
        print(json.dumps(line), file=parent, flush=True)

    try:
        import xllamacpp
    except ImportError as problem:
        tell({"error": "missing", "reason": str(problem)})
        sys.exit(1)
    try:
        server = xllamacpp.Server(parameters(config, xllamacpp))
    except RuntimeError as problem:
        tell({"error": "refused", "reason": str(problem)})
        sys.exit(1)
    tell({"url": server.listening_address})
    watch.join()


if __name__ == "__main__":
    main()
