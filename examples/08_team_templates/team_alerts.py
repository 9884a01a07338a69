"""What the DAGs of the team call when something fails; it lies where Airflow's processes import from."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger(__name__)


def tell_the_team(context: dict[str, Any]) -> None:
    """Say which run failed; a real one would send it to where people look."""
    logger.error("the run %s of %s failed", context.get("run_id"), context["dag"].dag_id)
