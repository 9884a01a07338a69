"""What a size costs, by our table or by one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airloom.errors import SettingsError
from airloom.sizing.catalogue import Size
from airloom.sizing.prices import Prices, cost, read

SIZE = Size(cpu=2, memory_mib=4096)


def test_fargate_is_paid_by_vcpu_and_gib_and_the_minute() -> None:
    assert cost(SIZE, 3600, "FARGATE") == pytest.approx(2 * 0.04048 + 4 * 0.004445)
    assert cost(SIZE, 1, "FARGATE") == cost(SIZE, 60, "FARGATE")


def test_an_m5_large_costs_what_it_costs() -> None:
    assert cost(Size(cpu=2, memory_mib=8192), 3600, "EC2") == pytest.approx(0.096, abs=1e-5)


def test_a_table_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"currency": "EUR", "ec2": {"cpu_hour": 1, "gib_hour": 0.5}}))
    prices = read(str(file))
    assert prices.currency == "EUR"
    assert cost(SIZE, 1800, "EC2", prices) == 2.0
    assert prices.fargate == Prices().fargate


@pytest.mark.parametrize("text", ["{", '{"euro": 1}', '{"ec2": {"cpu_hour": "much", "gib_hour": 1}}'])
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match="the price table cannot be read"):
        read(str(file))


def test_a_missing_table_is_refused() -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read("none.json")
