"""Timetables of DAG files that run by the clock and by events, wherever this Airflow keeps them."""

from __future__ import annotations

try:
    from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable
except ImportError:  # Airflow 3.1 has them in its core only
    from airflow.timetables.assets import (  # type: ignore[no-redef, assignment, unused-ignore]
        AssetOrTimeSchedule,
    )
    from airflow.timetables.trigger import (  # type: ignore[no-redef, assignment, unused-ignore]
        CronTriggerTimetable,
    )

__all__ = ["AssetOrTimeSchedule", "CronTriggerTimetable"]
