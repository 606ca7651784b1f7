"""Prices: what a call costs by them, which of them holds when, and that the published ones say where they are from."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import genai_prices
import pytest
from genai_prices.data import providers as genai_providers
from hypothesis import given, settings
from hypothesis import strategies as st

from llmws.errors import InvalidRequest
from llmws.messages import Usage
from llmws.providers import catalog, prices
from llmws.providers.prices import Price, Published, Rates
from llmws.store.amounts import DIGITS

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
COUNTS = st.integers(0, 3_000_000)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)


def price(**told: object) -> Price:
    return Price.from_dict({"currency": "USD", "input": 2, "output": 10, **told})


@pytest.mark.parametrize(
    ("told", "usage", "cost"),
    [
        ({}, Usage(1_000_000, 100_000), "3"),
        # What was read from a cache, and what was written to it, is part of the input and costs its own.
        ({"cache_read": 1, "cache_write": 4}, Usage(1_000_000, 0, 0, 500_000, 250_000), "2"),
        ({"cache_write": 4, "cache_write_1h": 8}, Usage(1_000_000, 0, 0, 0, 1_000_000, 500_000), "6"),
        ({"cache_write": 4}, Usage(1_000_000, 0, 0, 0, 1_000_000, 500_000), "4"),
        ({"reasoning": 20}, Usage(0, 1_000_000, 500_000), "15"),
        # DashScope: an answer that reasoned costs more, all of it.
        ({"thinking": 40}, Usage(0, 1_000_000, 1), "40"),
        ({"thinking": 40}, Usage(0, 1_000_000), "10"),
        # The price of a tier is that of the whole call, from one token past its edge.
        ({"tiers": [{"above": 1000, "input": 4, "output": 20}]}, Usage(1000), "0.002"),
        ({"tiers": [{"above": 1000, "input": 4, "output": 20}]}, Usage(1001), "0.004004"),
        ({"input": "0.000001"}, Usage(1), "0.000000000001"),
        ({"input": 0, "output": 0}, Usage(5, 5), "0"),
    ],
)
def test_a_call_costs(told: dict[str, object], usage: Usage, cost: str) -> None:
    assert price(**told).cost(usage) == Decimal(cost)


@pytest.mark.parametrize(
    ("clock", "cost"), [("16:29", 2), ("16:30", 1), ("23:59", 1), ("00:00", 1), ("00:29", 1), ("00:30", 2)]
)
def test_hours_reach_past_midnight(clock: str, cost: int) -> None:
    night = price(hours=[{"begin": "16:30", "end": "00:30", "input": 1, "output": 5}])
    at = datetime.fromisoformat(f"2026-03-01T{clock}:00+00:00").timestamp()
    assert night.cost(Usage(1_000_000), at) == cost


@given(usage=USAGES)
def test_no_count_makes_a_cost_negative_and_it_has_no_more_digits_than_are_kept(usage: Usage) -> None:
    cost = price(cache_read="0.3", cache_write="3.75", cache_write_1h=6, reasoning="0.123456").cost(usage)
    assert cost >= 0
    assert cost == cost.quantize(Decimal(1).scaleb(-DIGITS))
    assert Decimal(1).scaleb(-DIGITS) == prices.SMALLEST


@given(first=USAGES, second=USAGES)
def test_costs_add_up(first: Usage, second: Usage) -> None:
    """Exactly, in any order: that is what they are whole numbers for."""
    rates = Rates(Decimal("0.15"), Decimal("0.6"))
    total = Usage(first.input_tokens + second.input_tokens, first.output_tokens + second.output_tokens)
    plain = [Usage(one.input_tokens, one.output_tokens) for one in (first, second)]
    assert sum(rates.cost(one) for one in plain) == rates.cost(total)


def test_a_price_survives_json() -> None:
    told = price(
        currency="CNY",
        cache_read="0.2",
        thinking=8,
        tiers=[{"above": 128_000, "input": 3, "output": 20}],
        hours=[{"begin": "16:30", "end": "00:30", "input": 1, "output": 1}],
        valid_from="2026-01-31",
        source="https://example.org",
    )
    assert Price.from_dict(told.to_dict()) == told


@pytest.mark.parametrize(
    "wrong",
    [
        {"currency": "EUR"},
        {"input": -1},
        {"input": "NaN"},
        {"input": "much"},
        {"inputs": 1},
        {"input": None},
        {"valid_from": "soon"},
        {"hours": [{"begin": "25:00", "end": "1:00", "input": 1}]},
    ],
)
def test_what_no_price_can_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        price(**wrong)


# What is published


@pytest.fixture(scope="module")
def published() -> Published:
    return Published()


def test_rows_say_where_they_were_read_and_when(published: Published) -> None:
    for vendor, rows in published._rows.items():
        for _, row in rows:
            if row.source != "served here":
                assert row.source.startswith("https://"), f"{vendor}: {row}"
                assert row.checked is not None, f"{vendor}: {row}"


def test_vendors_are_those_of_the_catalogue(published: Published) -> None:
    assert published.vendors <= set(catalog.load())
    assert {published._elsewhere[vendor] for vendor in published.elsewhere} <= {one.id for one in genai_providers}


@pytest.mark.parametrize("vendor", ["echo", "embedded"])
def test_what_is_served_here_is_free_because_a_row_says_so(published: Published, vendor: str) -> None:
    found = published.find(vendor, "anything", NOW)
    assert found is not None
    assert (found.cost(Usage(1000, 1000)), found.source) == (0, "served here")


@pytest.mark.parametrize(
    ("vendor", "model"), [("vllm", "anything"), ("ollama", "llama3"), ("openai", "no-such"), ("nobody", "m")]
)
def test_what_nobody_published_has_no_price(published: Published, vendor: str, model: str) -> None:
    assert published.find(vendor, model, NOW) is None


def test_a_later_row_takes_over_on_its_day(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    row = '[[row]]\nvendors = ["v"]\nmodels = ["m*"]\ncurrency = "CNY"\noutput = 0\ninput = '
    dated = f"{row}1\nvalid_from = 2026-01-01\n{row}2\nvalid_from = 2026-06-01\n"
    file.write_text(f"[genai-prices]\n{dated}")
    days = [
        datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()
        for day in ("2025-12-31", "2026-05-31", "2026-06-01")
    ]
    found = [Published(file).find("v", "m1", day) for day in days]
    assert [one and one.rates.input for one in found] == [None, 1, 2]


@settings(deadline=None)
@given(
    data=st.data(),
    counts=st.tuples(*[st.integers(0, 300_000)] * 5),
    at=st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),
)
def test_the_package_s_own_calculation_agrees(
    published: Published, data: st.DataObject, counts: tuple[int, ...], at: datetime
) -> None:
    """For every model of every vendor that is mapped: tiers, dates and hours, caches of both kinds."""
    vendor = data.draw(st.sampled_from(sorted(published.elsewhere)))
    provider = next(one for one in genai_providers if one.id == published._elsewhere[vendor])
    model = data.draw(st.sampled_from([one.id for one in provider.models]))
    found = published.find(vendor, model, at.timestamp())
    fresh, read, written, hour, output = counts
    usage = Usage(fresh + read + written + hour, output, 0, read, written + hour, hour)
    theirs = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=read,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=hour,
        output_tokens=output,
    )
    if found is None:
        return
    matched = provider.find_model(model, all_providers=genai_providers)
    assert matched is not None
    if any(key.endswith("kcount") and "request" in key for key in vars(matched.get_prices(at))):
        return  # what a request costs besides its tokens is not modelled
    expected = genai_prices.calc_price(theirs, model, provider_id=provider.id, genai_request_timestamp=at)
    assert found.cost(usage, at.timestamp()) == pytest.approx(expected.total_price, abs=Decimal("1e-11"))


def test_the_package_is_not_loaded_before_it_is_asked_for() -> None:
    program = (
        "import sys; from llmws.providers.prices import Published; p = Published(); p.find('echo', 'echo', 0.0);"
        "sys.exit('genai_prices' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
