"""Bytes by key, for code inside and outside of flows: `ObjectStore`, and Metaflow's `S3`."""

from __future__ import annotations

from airloom.object_store.objects import GetObject, PutObject, RangeInfo, StoredObject
from airloom.object_store.store import S3, ObjectStore

__all__ = ["S3", "GetObject", "ObjectStore", "PutObject", "RangeInfo", "StoredObject"]
