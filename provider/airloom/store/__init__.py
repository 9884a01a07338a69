"""Artifacts, records and blobs, down to bytes by key."""
