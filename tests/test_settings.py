"""Settings are read once, from the environment, and a wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmws.errors import SettingsError
from llmws.settings import Settings


def test_nothing_set_gives_the_defaults() -> None:
    settings = Settings.from_environment({})
    assert settings.port is None
    assert settings.database_url == f"sqlite:///{settings.data / 'llmws.db'}"


def test_values_are_parsed() -> None:
    settings = Settings.from_environment({"LLMWS_DATA": "~/x", "LLMWS_EMBEDDED": "0", "LLMWS_IDLE_EXIT_S": "1.5"})
    assert (settings.data, settings.embedded, settings.idle_exit_s) == (Path("~/x").expanduser(), False, 1.5)


def test_the_data_folder_follows_the_desktop_s_rule() -> None:
    assert Settings.from_environment({"XDG_DATA_HOME": "/d"}).data == Path("/d/llmws")


@pytest.mark.parametrize(("name", "value"), [("LLMWS_PORT", "many"), ("LLMWS_EMBEDDED", "perhaps")])
def test_a_wrong_value_names_the_variable_and_the_remedy(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'. Set it to"):
        Settings.from_environment({name: value})


def test_a_secret_is_not_shown() -> None:
    told = repr(Settings(token="hidden-1", runner_token="hidden-2", database="postgresql://ada:hidden-3@db/llmws"))
    assert "hidden" not in told


def test_a_list_is_separated_by_commas_and_reaches_a_child() -> None:
    settings = Settings.from_environment({"LLMWS_PROVIDER_HOSTS": "*.corp.example, 10.1.0.0/16"})
    assert settings.provider_hosts == ("*.corp.example", "10.1.0.0/16")
    assert Settings.from_environment(settings.to_environment()).provider_hosts == settings.provider_hosts
    assert Settings.from_environment(Settings().to_environment()).provider_hosts == ()
