"""Where a URL that somebody typed may lead."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmws.addresses import AddressPolicy, literal
from llmws.errors import SettingsError

LAPTOP = AddressPolicy()
HUB = AddressPolicy(private_allowed=False)

NOWHERE = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd20:ce::254",
    "ff02::1",
]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "240.0.0.1",
    "::1",
    "fd12:3456::1",
    "fec0::1",
    "5f00::1",
    "2001:db8::1",
    "3fff::1",
]
PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


@pytest.mark.parametrize("address", NOWHERE)
@pytest.mark.parametrize("policy", [LAPTOP, HUB, AddressPolicy(False, ("0.0.0.0/0", "::/0", "llm.example"))])
def test_some_addresses_are_nobodys_provider(policy: AddressPolicy, address: str) -> None:
    assert not policy.allows("llm.example", address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_for_laptops(address: str) -> None:
    assert LAPTOP.allows("llm.example", address)
    assert not HUB.allows("llm.example", address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_for_everybody(address: str) -> None:
    assert LAPTOP.allows("llm.example", address)
    assert HUB.allows("llm.example", address)


def test_an_administrator_allows_names_and_networks() -> None:
    policy = AddressPolicy(False, ("LLM.corp.example", "*.lab.example", "10.1.0.0/16", "fd12::/16", "192.168.0.7"))
    assert policy.allows("llm.CORP.example.", "10.9.9.9")
    assert policy.allows("a.lab.example", "127.0.0.1")
    assert policy.allows("other.example", "10.1.2.3")
    assert policy.allows("192.168.0.7", "192.168.0.7")
    assert policy.allows("other.example", "fd12::7")
    assert policy.allows("other.example", "::ffff:10.1.2.3")
    for host, address in [
        ("other.example", "10.2.0.1"),
        ("lab.example", "10.2.0.1"),
        ("evil-lab.example", "10.2.0.1"),
        ("llm.corp.example.evil.example", "10.2.0.1"),
    ]:
        assert not policy.allows(host, address), (host, address)


@pytest.mark.parametrize(
    "entry", ["", "http://gpu7", "gpu7:8000", "10.1.0.0/33", "10.1.300.1", "*", "*.*.example", "gpu*", "bücher.example"]
)
def test_what_would_allow_nothing_is_named(entry: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(repr(entry))):
        AddressPolicy(False, ("gpu7", "10.0.0.0/8", "fd12::/16", "::1", "xn--bcher-kva.example", "a_b.c-d.e1", entry))


@pytest.mark.parametrize("address", ["", "localhost", "no address", "1.2.3.4.5", "::g"])
def test_what_is_no_address_is_not_allowed(address: str) -> None:
    assert not LAPTOP.allows("llm.example", address)


def carriers(address: IPv4Address) -> list[IPv6Address]:
    """The IPv6 addresses out of which a router may take `address`."""
    number = int(address)
    return [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address(int(IPv6Address("64:ff9b:1::")) | number),
        IPv6Address(int(IPv6Address("2002::")) | number << 80 | 1),
        IPv6Address(int(IPv6Address("2001::")) | (number ^ 0xFFFFFFFF)),
        IPv6Address(int(IPv6Address("2606:2800::5efe:0:0")) | number),
    ]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("address", [each for each in NOWHERE if ":" not in each])
def test_an_address_inside_another_is_judged(address: str, number: int) -> None:
    assert not LAPTOP.allows("llm.example", str(carriers(IPv4Address(address))[number]))


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_no_carrier_hides_a_private_address_from_a_hub(address: IPv4Address) -> None:
    assert not any(HUB.allows("llm.example", str(carrier)) for carrier in carriers(address))


def test_a_public_address_may_be_carried() -> None:
    for carrier in carriers(IPv4Address("8.8.8.8"))[:2]:
        assert HUB.allows("llm.example", str(carrier))


@given(st.ip_addresses(v=4))
def test_every_form_of_an_address_is_seen_as_it(address: IPv4Address) -> None:
    number = int(address)
    octets = [number >> shift & 0xFF for shift in (24, 16, 8, 0)]
    forms = [str(address), str(number), hex(number), f"0{number:o}", ".".join(map(hex, octets))]
    forms += [".".join(f"0{octet:o}" for octet in octets), f"{octets[0]}.{number & 0xFFFFFF}", f"{address}."]
    assert {literal(form) for form in forms} == {address}


@given(st.ip_addresses())
def test_a_hub_asks_nothing_that_a_laptop_may_not(address: IPv4Address | IPv6Address) -> None:
    assert LAPTOP.allows("llm.example", str(address)) or not HUB.allows("llm.example", str(address))


@given(st.ip_addresses(v=6))
def test_only_what_registries_give_out_is_public(address: IPv6Address) -> None:
    routed = (ip_network("2000::/3"), ip_network("64:ff9b::/96"), ip_network("::ffff:0:0/96"))
    assert any(address in network for network in routed) or not HUB.allows("llm.example", str(address))
