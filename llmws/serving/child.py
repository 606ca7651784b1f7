"""One llama.cpp server process: started, counted on, stopped. When another is started is `embedded`'s business."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import re
import secrets
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from ..errors import Error, MissingTool, ServiceError, SettingsError

LOG = logging.getLogger(__name__)

INSTALL = "Install it with `pip install 'llmws[embedded]'`, or do without: LLMWS_EMBEDDED=0."

# The folder that holds the package, so that the child finds it whatever folder the parent was started in.
_HOME = Path(__file__).resolve().parents[2]
# Its threads meet a thousand times a token. While others want the cores, too (a fine-tune does), spinning until the
# last one comes made two threads on two cores twenty times slower than sleeping does.
_ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}
_ERROR_LINE = re.compile(r"^[\d.]+ E +(?:\w+: )?(.+)$", re.MULTILINE)
_TAIL = 16_384


def usable_cores() -> int:
    """The cores that this process may use; hyperthreads only slow llama.cpp down."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What a server is started with; it travels to the child as JSON, over stdin.

    Args:
        model: the GGUF file.
        alias: the model's id in answers.
        adapters: GGUF adapters; a request chooses among them by position.
        context: tokens that one conversation may fill.
        parallel: how many are answered at once.
    """

    model: str
    alias: str
    adapters: tuple[str, ...] = ()
    context: int = 4096
    parallel: int = 2
    threads: int = field(default_factory=usable_cores)
    api_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)


def check_gguf(path: Path, *, remedy: str) -> None:
    """A `SettingsError` that says why, unless `path` can be read and begins as a GGUF does."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise SettingsError(f"There is no model file {path}.", remedy=remedy) from None
    except OSError as problem:
        raise SettingsError(f"The model file {path} cannot be read: {problem.strerror}.", remedy=remedy) from None
    if magic != b"GGUF":
        raise SettingsError(f"{path} is not a GGUF file.", remedy=remedy)


class Child:
    """A running server; `Child.start` makes it, and returns once it answers.

    Attributes:
        config: what it was started with.
        url: its address, ``http://127.0.0.1:PORT``.
    """

    def __init__(self, config: ServerConfig, process: Process, tail: _Tail, url: str) -> None:
        self.config = config
        self.url = url
        self._process = process
        self._tail = tail
        self._calls = 0
        self._used_at = time.monotonic()
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def start(cls, config: ServerConfig, *, timeout_s: float = 300.0) -> Child:
        """Start a server and wait until its model is loaded.

        Raises:
            SettingsError: a file that is missing, no GGUF, or refused by llama.cpp.
            MissingTool: xllamacpp is not installed, or does not load.
            ServiceError: the process ended or kept silent.
        """
        await asyncio.to_thread(_check, config)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "llmws.serving.server"),
            cwd=_HOME,
            env={**_ENVIRONMENT, **os.environ},
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,  # Ctrl-C is meant for the service, which ends its children when it is done
        )
        tail = _Tail(process)
        try:
            url = await asyncio.wait_for(_greet(process, tail, config), timeout_s)
        except TimeoutError:
            await _end(process, tail)
            raise ServiceError(
                f"The server of {Path(config.model).name} was not ready after {timeout_s:.0f} s.",
                remedy="Choose a smaller model with LLMWS_EMBEDDED_MODEL.",
            ) from None
        except BaseException:
            await _end(process, tail)
            raise
        return cls(config, process, tail, url)

    @property
    def pid(self) -> int:
        return self._process.pid

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Counts a request while it is on its way; see `drained`."""
        self._calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            self._used_at = time.monotonic()
            if not self._calls:
                self._idle.set()

    @property
    def unused_s(self) -> float:
        """Seconds since the last request ended; 0 while there is one."""
        return 0.0 if self._calls else time.monotonic() - self._used_at

    async def drained(self, timeout_s: float | None = None) -> None:
        """Wait until no request is on its way, at most `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout_s)

    async def died(self) -> str:
        """Wait for the end of the process; how it ended, as far as it can be told."""
        return await _obituary(self._process, self._tail)

    async def stop(self) -> None:
        """End the process and whatever it was answering."""
        await _end(self._process, self._tail)


class _Tail:
    """The last of what a process wrote to stderr; always read, since a full pipe would block the process."""

    def __init__(self, process: Process) -> None:
        self._text = b""
        assert process.stderr is not None
        self._task = asyncio.create_task(self._read(process.stderr))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(4096):
            LOG.debug("llama.cpp: %s", chunk.decode(errors="replace").rstrip())
            self._text = (self._text + chunk)[-_TAIL:]

    async def first_error(self) -> str:
        """The first line that reports an error, once the process has ended; empty if there is none."""
        await asyncio.wait([self._task])  # unlike `await`, this does not cancel it along with a caller
        lines = _ERROR_LINE.findall(self._text.decode(errors="replace"))
        # The attempt to fit a model into the memory only repeats that it could not be loaded.
        return next((line.strip().rstrip(".") for line in lines if "fit params" not in line), "")


async def _greet(process: Process, tail: _Tail, config: ServerConfig) -> str:
    """Tell the child its configuration; the address that it answers with."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it ended; why comes below
        process.stdin.write(json.dumps(asdict(config)).encode() + b"\n")
        await process.stdin.drain()
    line = await process.stdout.readline()
    if not line:
        raise ServiceError(await _obituary(process, tail), remedy="LLMWS_LOG_LEVEL=debug logs what it says.")
    told = json.loads(line)
    if "url" in told:
        return str(told["url"])
    raise await _refusal(told, tail, config)


async def _refusal(told: dict[str, str], tail: _Tail, config: ServerConfig) -> Error:
    if told["error"] == "missing":
        return MissingTool(f"xllamacpp does not load: {told['reason'].rstrip('.')}.", remedy=INSTALL)
    reason = await tail.first_error() or told["reason"].rstrip(".")
    if config.adapters:
        names = ", ".join(Path(path).name for path in config.adapters)
        return SettingsError(f"llama.cpp cannot serve {Path(config.model).name} with {names}: {reason}.")
    return SettingsError(
        f"llama.cpp cannot serve {Path(config.model).name}: {reason}.",
        remedy="Set LLMWS_EMBEDDED_MODEL to another GGUF file, or unset it.",
    )


def _check(config: ServerConfig) -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingTool("xllamacpp, which serves the embedded model, is not installed.", remedy=INSTALL)
    check_gguf(Path(config.model), remedy="Set LLMWS_EMBEDDED_MODEL to a GGUF file, or unset it.")
    for adapter in config.adapters:
        check_gguf(Path(adapter), remedy="Convert the fine-tune again.")


async def _obituary(process: Process, tail: _Tail) -> str:
    code = await process.wait()
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    error = await tail.first_error()
    why = f": {error}" if error else ""
    return f"The model server {how}{why}."


async def _end(process: Process, tail: _Tail) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), 3.0)
    except TimeoutError:
        process.kill()
    await _obituary(process, tail)
