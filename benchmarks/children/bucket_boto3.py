"""Put or get objects with boto3 on threads: ``bucket_boto3.py put|get ENDPOINT BUCKET COUNT``."""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import made

_THREADS = 16


def main(verb: str, endpoint: str, bucket: str, count: int) -> None:
    """All objects at once, by one client with a connection a thread."""
    made.use(endpoint)
    import boto3
    from botocore.config import Config

    objects = made.objects(count)

    def work() -> None:
        client = boto3.client("s3", endpoint_url=endpoint, config=Config(max_pool_connections=_THREADS))

        def put(key: str) -> None:
            client.put_object(Bucket=bucket, Key=f"objects/{key}", Body=objects[key])

        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_THREADS) as pool:

            def get(key: str) -> bytes:
                # By way of a file, as the others do it.
                answer = client.get_object(Bucket=bucket, Key=f"objects/{key}")
                file = Path(folder, key)
                file.write_bytes(answer["Body"].read())
                return file.read_bytes()

            if verb == "put":
                list(pool.map(put, objects))
            else:
                assert list(pool.map(get, objects)) == list(objects.values())

    made.measured(work)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
