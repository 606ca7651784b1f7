"""Every setting, read once from the environment into one frozen object; nothing else reads the environment.

`docs/settings.md` is made from the help texts below, and a test keeps it so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import SettingsError

DEFAULT_PORT = 8765


def _setting(name: str, help: str, default: Any = None, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"name": name, "help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be configured. Build it with `from_environment`; tests and embedders may build it by hand.

    Example:
        >>> Settings.from_environment({"LLMWS_PORT": "9000", "LLMWS_DATA": "/tmp/llmws"}).port
        9000
    """

    data: Path = _setting(
        "LLMWS_DATA",
        "The data folder: database, keys, runs. Default: `$XDG_DATA_HOME/llmws`, else `~/.local/share/llmws`.",
        Path("~/.local/share/llmws").expanduser(),
    )
    url: str | None = _setting(
        "LLMWS_URL", "Use the service at this address (the hub sets it) instead of starting one."
    )
    token: str | None = _setting("LLMWS_TOKEN", "The token for `LLMWS_URL`.", secret=True)
    port: int | None = _setting(
        "LLMWS_PORT", f"The service's port. Default: {DEFAULT_PORT}, or any free one where that is taken."
    )
    database: str | None = _setting(
        "LLMWS_DATABASE",
        "SQLAlchemy address of the database. Default: `llmws.db` (SQLite) in the data folder.",
        secret=True,
    )
    idle_exit_s: float = _setting(
        "LLMWS_IDLE_EXIT_S",
        "A laptop's service ends after so many seconds without a client or a running job; 0: never.",
        900.0,
    )
    embedded: bool = _setting("LLMWS_EMBEDDED", "Serve the model that comes along: `1` or `0`.", True)
    embedded_model: Path | None = _setting(
        "LLMWS_EMBEDDED_MODEL", "Another GGUF file to serve instead of the SmolLM2 that comes along."
    )
    providers: Path | None = _setting(
        "LLMWS_PROVIDERS", "A TOML file with further providers, in the form of `llmws/providers/catalog.toml`."
    )
    provider_hosts: tuple[str, ...] = _setting(
        "LLMWS_PROVIDER_HOSTS",
        "Where on private networks a hub's people may have providers: names (`*.corp.example`) and networks"
        " (`10.1.0.0/16`), separated by commas. A laptop's person may anywhere.",
        (),
    )
    master_key: str | None = _setting(
        "LLMWS_MASTER_KEY",
        "What encrypts the providers' keys: 32 random bytes in base64, several separated by commas (the first encrypts,"
        " all decrypt). Default: `master.key` in the data folder, made at first use.",
        secret=True,
    )
    links: bool = _setting(
        "LLMWS_LINKS",
        "Whether a hub's people may share conversations by links, which open without an account: `1` or `0`. Switched"
        " off, those that were made open nothing, either. A laptop has none.",
        True,
    )
    title_model: str | None = _setting(
        "LLMWS_TITLE_MODEL",
        "The model that gives conversations their titles; `none`: their first words do. Default: the one that answers,"
        " unless it is served here, where it is small and has better things to do.",
    )
    training_environment: Path = _setting(
        "LLMWS_TRAINING_ENVIRONMENT",
        "The virtual environment that holds LLaMA-Factory. Default: the workspace's own with `-train` appended.",
        Path(sys.prefix + "-train"),
    )
    training_command: str | None = _setting(
        "LLMWS_TRAINING_COMMAND",
        "The trainer's command line. Default: `llamafactory-cli` of the training environment.",
    )
    run_folders: Path | None = _setting(
        "LLMWS_RUNS",
        "The folder of run folders, where service and runner share it. Default: `runs` in the data folder.",
    )
    runner_token: str | None = _setting(
        "LLMWS_RUNNER_TOKEN",
        "What a runner shows to a hub's service, which gets the same (the hub sets it).",
        secret=True,
    )
    attachments_mib: int = _setting(
        "LLMWS_ATTACHMENTS_MIB", "How many MiB the pictures and files may have that one person attached to chats.", 1024
    )
    hub_state: Path = _setting(
        "LLMWS_HUB_STATE",
        "Where `llmws hub` keeps accounts, homes and the service's data. Default: `/var/lib/llmws` for root, else"
        " `llmws-hub` beside the data folder.",
        Path("/var/lib/llmws") if os.geteuid() == 0 else Path.home() / ".local/share/llmws-hub",
    )
    hub_port: int = _setting("LLMWS_HUB_PORT", "The port that people reach the hub on.", 8000)
    log_level: str = _setting(
        "LLMWS_LOG_LEVEL", "How much the service logs: `debug`, `info`, `warning`, `error`.", "info"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings; a value that cannot be is a `SettingsError` that names the variable."""
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for setting in fields(cls):
            raw = environment.get(setting.metadata["name"], "").strip()
            if raw:
                values[setting.name] = _parse(setting.metadata["name"], str(setting.type), raw)
        if "data" not in values and environment.get("XDG_DATA_HOME"):
            values["data"] = Path(environment["XDG_DATA_HOME"]) / "llmws"
        return cls(**values)

    def to_environment(self, *, of_service: bool = False) -> dict[str, str]:
        """The variables that give a child process these settings; another service's address and token are left out.

        Args:
            of_service: the child is the service, which alone gets the master key.

        Example:
            >>> Settings(port=9000, embedded=False).to_environment()["LLMWS_EMBEDDED"]
            '0'
        """
        left_out = {"url", "token", "runner_token"} | (set() if of_service else {"master_key"})
        told = {
            setting.metadata["name"]: getattr(self, setting.name)
            for setting in fields(self)
            if setting.name not in left_out and getattr(self, setting.name) is not None
        }
        return {name: _written(value) for name, value in told.items()}

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data / 'llmws.db'}"

    @property
    def runs(self) -> Path:
        """The folder of run folders."""
        return self.run_folders or self.data / "runs"


def forget_master_key(environment: MutableMapping[str, str] | None = None) -> None:
    """Take the master key out of what the children of this process get."""
    (os.environ if environment is None else environment).pop("LLMWS_MASTER_KEY", None)


@dataclass(frozen=True, slots=True)
class HubService:
    """What JupyterHub tells a service that it starts: its name, its path without a slash at its end, its port, the API.

    See https://jupyterhub.readthedocs.io/en/stable/reference/services.html
    """

    name: str
    prefix: str
    port: int
    api_url: str


def hub_service(environment: Mapping[str, str] | None = None) -> HubService | None:
    """What the hub told, if it started this process as its service; people's servers have no service name.

    Example:
        >>> told = {"JUPYTERHUB_SERVICE_NAME": "llmws", "JUPYTERHUB_SERVICE_PREFIX": "/services/llmws/"}
        >>> told |= {"JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:9000", "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api"}
        >>> hub_service(told).port
        9000
    """
    environment = os.environ if environment is None else environment
    if not (name := environment.get("JUPYTERHUB_SERVICE_NAME")):
        return None
    told = {
        wanted: environment.get(f"JUPYTERHUB_{wanted}", "") for wanted in ("SERVICE_URL", "SERVICE_PREFIX", "API_URL")
    }
    port = urlsplit(told["SERVICE_URL"]).port
    if port is None or not told["API_URL"]:
        raise SettingsError(
            "The hub told its service no port or no API.",
            remedy="Give it a `url` with a port in the hub's configuration.",
        )
    return HubService(name, told["SERVICE_PREFIX"].rstrip("/"), port, told["API_URL"])


def notebook(environment: Mapping[str, str] | None = None) -> str | None:
    """The path of the notebook that this kernel runs for, as Jupyter Server tells it; not a setting, but told there."""
    return (os.environ if environment is None else environment).get("JPY_SESSION_NAME") or None


def desktop(environment: Mapping[str, str] | None = None) -> bool:
    """Whether a browser that is opened here has a screen to appear on."""
    environment = os.environ if environment is None else environment
    return sys.platform == "darwin" or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def jupyter_search_paths(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables by which Jupyter and Voilà find our page template and configuration, before what is there.

    JupyterLab's is that nobody is asked about news and updates, on which the locks decide: without a feed it asks, too.
    """
    environment = os.environ if environment is None else environment
    pages = Path(__file__).resolve().parent / "ui"
    ours = {"JUPYTER_PATH": pages, "JUPYTER_CONFIG_PATH": pages / "voila"}
    return {name: os.pathsep.join(filter(None, [str(ours[name]), environment.get(name)])) for name in ours}


def table() -> str:
    """The settings as a Markdown table, for the docs."""
    rows = ["| variable | meaning | default |", "| --- | --- | --- |"]
    for setting in fields(Settings):
        default = setting.default if setting.default not in (None, ()) and setting.type != "Path" else ""
        rows.append(f"| `{setting.metadata['name']}` | {setting.metadata['help']} | {default} |")
    return "\n".join(rows)


def _written(value: Any) -> str:
    """A value as `_parse` reads it."""
    if isinstance(value, tuple):
        return ",".join(value)
    return str(int(value) if isinstance(value, bool) else value)


def _parse(name: str, kind: str, raw: str) -> Any:
    try:
        if kind.startswith("bool"):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[raw.lower()]
        if kind.startswith("int"):
            return int(raw)
        if kind.startswith("float"):
            return float(raw)
        if kind.startswith("tuple"):
            return tuple(raw.replace(",", " ").split())
        if kind.startswith("Path"):
            return Path(raw).expanduser()
    except (KeyError, ValueError):
        wanted = {"b": "1 or 0", "i": "a whole number", "f": "a number"}[kind[0]]
        raise SettingsError(f"{name} is {raw!r}.", remedy=f"Set it to {wanted}, or unset it.") from None
    return raw
