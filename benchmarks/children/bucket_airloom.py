"""Put or get objects with Airloom: ``bucket_airloom.py put|get ENDPOINT BUCKET COUNT``."""

from __future__ import annotations

import sys

import made


def main(verb: str, endpoint: str, bucket: str, count: int) -> None:
    """All objects at once."""
    made.use(endpoint)
    from airloom import ObjectStore

    objects = made.objects(count)

    def work() -> None:
        with ObjectStore(f"s3://{bucket}/objects") as store:
            if verb == "put":
                store.put_many(objects.items())
            else:
                found = store.get_many(objects)
                assert [one.blob for one in found] == list(objects.values())

    made.measured(work)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
