"""A bad network makes a save slow or fail clearly; it never makes a wrong value or half a record."""

from __future__ import annotations

import pytest

from reliability.network_faults import drill
from support.stores import Server


@pytest.mark.store
def test_what_is_told_of_a_bad_network_is_so(s3_server: Server, s3: str) -> None:
    figures = drill(s3_server, rounds=12, seed=1)
    assert figures["wrong"] == []
    assert all(found["spoilt"] for name, found in figures.items() if name.endswith("spoilt"))
