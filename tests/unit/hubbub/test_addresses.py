"""What counts as one address: hubbub/addresses.py."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given, strategies as st

from hubbub.addresses import address_key, is_loopback


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::7", "20010db800000001"),
        ("2001:db8:0:1:ffff::", "20010db800000001"),
        ("fe80::1%eth0", "fe80000000000000"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_an_address_counts_as_its_customer(host: str, key: str) -> None:
    """“per address (... 20 a minute and /32 or /64 ...)”"""
    assert address_key(host) == key


@given(st.integers(2**64, 2**128 - 1), st.integers(0, 127))
def test_addresses_are_one_if_and_only_if_their_first_64_bits_are(number: int, bit: int) -> None:
    """“/64”"""
    one, other = IPv6Address(number), IPv6Address(number ^ (1 << bit))
    assert (address_key(str(one)) == address_key(str(other))) is (bit < 64)


def test_loopback_is_known() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]))
    assert not any(map(is_loopback, ["10.0.0.1", "::2", "2001:db8::127.0.0.1", "1.127.0.0", ""]))
