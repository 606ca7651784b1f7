"""There is one JSON shape of an error, and the class that was raised is the class that arrives."""

from __future__ import annotations

import pytest

from llmws import errors


def classes() -> list[type[errors.Error]]:
    """Those of the tree; a layer may have kinds of its own, which travel as what they are a kind of."""
    return [cls for cls in errors._tree(errors.Error) if cls.__module__ == errors.__name__]


@pytest.mark.parametrize("cls", classes())
def test_an_error_travels_as_what_it_is(cls: type[errors.Error]) -> None:
    raised = cls("It broke.", remedy="Mend it.", details={"line": 3})
    arrived = errors.from_dict(raised.to_dict(), cls.status)
    assert type(arrived) is cls
    assert (str(arrived), arrived.details) == ("It broke. Mend it.", {"line": 3})
    assert set(raised.to_dict()) == {"code", "message", "remedy", "details"}


def test_codes_are_unique() -> None:
    codes = [cls.code for cls in classes()]
    assert len(codes) == len(set(codes))


def test_a_provider_s_own_code_stays_a_provider_error() -> None:
    arrived = errors.from_dict({"code": "provider_balance", "message": "No balance."}, 502)
    assert isinstance(arrived, errors.ProviderError)
    assert arrived.code == "provider_balance"


def test_an_unknown_code_gives_the_class_of_its_status() -> None:
    assert type(errors.from_dict({"code": "newer", "message": "x"}, 404)) is errors.NotFound
    assert type(errors.from_dict({"code": "newer", "message": "x"}, 418)) is errors.Error


def test_the_tree_in_the_docstring_names_every_class() -> None:
    assert all(cls.__name__ in (errors.__doc__ or "") for cls in classes())
