"""What an attempt of a size costs, by a table that anyone can replace.

The table of this file is Linux on x86 in us-east-1, on demand, without discounts. AWS's own price pages
could not be read for it; the figures are those that others copied from there:

- Fargate: $0.04048 an hour for a vCPU, $0.004445 for a GB of memory, a minute at least
  (wring.co/blog/aws-fargate-pricing-guide, March 2026; the same in www.vantage.sh/blog/fargate-pricing).
- EC2: an estimate. m5.large, 2 vCPU and 8 GiB, was $0.096 an hour in AWS's list of 21 July 2019
  (copied in gist.github.com/turtlemonvh/3465e7d295403c61181590e95e5a620d); it is divided between vCPU and
  GiB in the proportion of Fargate. Other instances cost otherwise, and what stands idle is not in it.

It is for comparing sizes, not for checking a bill: whoever pays puts the prices of their own region and
contract into the file that the setting ``prices`` names.

>>> round(cost(Size(cpu=2, memory_mib=4096), 3600, "FARGATE"), 5)
0.09874
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from airloom import codec
from airloom.errors import SettingsError
from airloom.plan import Platform
from airloom.sizing.catalogue import Size


@dataclass(frozen=True, slots=True)
class Rate:
    """Prices of one hour; an attempt of less than ``least_s`` seconds is paid as if it took so long."""

    cpu_hour: float
    gib_hour: float
    least_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Prices:
    """A price table."""

    currency: str = "USD"
    source: str = "us-east-1, Linux on x86, on demand: Fargate of March 2026, EC2 estimated by m5.large"
    fargate: Rate = field(default_factory=lambda: Rate(0.04048, 0.004445, 60.0))
    ec2: Rate = field(default_factory=lambda: Rate(0.033351, 0.003662, 0.0))


def read(file: str) -> Prices:
    """Read a price table from a JSON file; the table of this module when no file is named.

    Raises
    ------
    SettingsError
        When there is no such file, or it is no price table.
    """
    if not file:
        return Prices()
    try:
        return codec.from_json(Prices, json.loads(Path(file).expanduser().read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"the price table cannot be read: {error}",
            where=f"{file} (setting prices)",
            mend='write JSON such as {"currency": "EUR", "source": "...", '
            '"fargate": {"cpu_hour": 0.04, "gib_hour": 0.004}, "ec2": {...}}.',
        ) from error


def cost(size: Size, wall_s: float, platform: Platform, prices: Prices | None = None) -> float:
    """Price of an attempt that had this size for so many seconds."""
    prices = prices or Prices()
    rate = prices.fargate if platform == "FARGATE" else prices.ec2
    hours = max(wall_s, rate.least_s) / 3600
    return hours * ((size.cpu or 0) * rate.cpu_hour + (size.memory_mib or 0) / 1024 * rate.gib_hour)
