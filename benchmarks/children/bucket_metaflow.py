"""Put or get objects with metaflow.S3: ``bucket_metaflow.py put|get ENDPOINT BUCKET COUNT``."""

from __future__ import annotations

import sys

import made


def main(verb: str, endpoint: str, bucket: str, count: int) -> None:
    """All objects at once."""
    made.use(endpoint)
    from metaflow import S3

    objects = made.objects(count)

    def work() -> None:
        with S3(s3root=f"s3://{bucket}/objects") as store:
            if verb == "put":
                store.put_many(objects.items())
            else:
                found = store.get_many(list(objects))
                assert [one.blob for one in found] == list(objects.values())

    made.measured(work)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
