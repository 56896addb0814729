"""Which addresses a fetched URL may lead to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.pictures.addresses import AddressPolicy, is_public

POLICY = AddressPolicy()
PRIVATE_V4 = (
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),  # private
    *("127.0.0.1", "127.255.255.254"),  # loopback
    *("169.254.0.1", "169.254.169.254"),  # link-local, metadata
    *("100.64.0.1", "100.127.255.255", "100.100.100.200"),  # carrier-grade NAT
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),  # multicast, reserved
    *("0.0.0.0", "0.1.2.3"),  # unspecified
    *("192.0.0.192", "168.63.129.16"),  # metadata of two more clouds
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.88.99.1"),
)
PRIVATE_V6 = (
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
    *("fc00::1", "fd00:ec2::254", "fd20:ce::254"),  # unique local, metadata of two clouds
    *("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "::10.0.0.1"),
    *("2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),
    *("2001:0:1::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "2606:4700::1111%1"),
)
PUBLIC = (
    *("8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1"),
    *("2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
)


@pytest.mark.parametrize("address", PRIVATE_V4 + PRIVATE_V6)
def test_refused(address: str) -> None:
    assert not POLICY.permits(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_permitted(address: str) -> None:
    assert POLICY.permits(address)


@pytest.mark.parametrize("text", ["", "localhost", "2130706433", "0x7f.1", "127.1", "8.8.8.8 "])
def test_what_is_no_address_is_refused(text: str) -> None:
    assert not POLICY.permits(text)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_in_ipv6_is_judged_as_itself(number: int) -> None:
    plain = IPv4Address(number)
    assert is_public(IPv6Address(f"::ffff:{plain}")) == is_public(plain)
    assert is_public(IPv6Address((0x64FF9B << 96) | number)) == is_public(plain)
    assert not is_public(IPv6Address((0x2002 << 112) | (number << 80)))
    if not plain.is_global:
        assert not is_public(plain)


def test_an_operator_may_allow_a_network() -> None:
    policy = AddressPolicy(("10.1.0.0/16", "fd12::/32"))
    assert policy.permits("10.1.2.3") and policy.permits("fd12::7")
    assert policy.permits("::ffff:10.1.2.3")
    assert not policy.permits("10.2.0.1") and not policy.permits("::1")
    assert policy.permits("8.8.8.8")
