"""Attempts saved and loaded over a bad network, then looked at over a good one.

``python tests/reliability/network_faults.py ROUNDS SEED`` starts an S3 of its own and a proxy
that spoils requests, a share of them in each of several ways. In each round a run is created,
an attempt claimed, its artifacts saved, its record committed, all of it read back, each over
the proxy. What a round was told must be so, and what the store has must be whole. It prints
the figures as JSON, and ends with 1 when anything was wrong.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from airloom.errors import AirloomError, NotFound, StoreError
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import BeginRecord, DoneRecord, Outcome, RunRecord, Usage
from support.fault_proxy import Fault, FaultProxy, at_random, fault_proxy, never
from support.stores import Server, served_s3

SHARES = (0.05, 0.2, 0.5)
FAULTS = [
    Fault(refuse=True),
    Fault(answer="503 SlowDown"),
    Fault(answer="500 InternalError"),
    Fault(silent=True),
    Fault(sent=20),
    Fault(sent=70_000),
    Fault(sent_all=True),
    Fault(received=3),
    Fault(received=3, politely=True),
    Fault(received=70_000),
    Fault(latency_s=0.3),
]
TASK = ("fit", "0")


def settings(root: str, endpoint: str) -> Settings:
    """Little patience, so that many rounds see its end."""
    found = Settings(datastore_root=root, store_endpoint=endpoint)
    return replace(found, store_timeout_s="1", store_deadline_s="15", store_retries="3")


def values(seed: int, number: int) -> dict[str, Any]:
    """What a round saves: small values in one blob, a larger one, now and then one of several parts."""
    drawn = random.Random(f"{seed} {number}")
    large = (9 << 20) if number % 10 == 9 else 200_000 + drawn.randrange(200_000)
    return {"number": number, "text": f"round {number}" * 20, "large": drawn.randbytes(large)}


class Drill:
    """Rounds over one proxy, and what came of them."""

    def __init__(self, server: Server, proxy: FaultProxy, seed: int) -> None:
        self._root = f"{server.bucket()}/store"
        self._server = server
        self._proxy = proxy
        self._seed = seed
        self._told: dict[str, dict[str, Any]] = {}
        self.ended: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.requests = self.spoilt = 0
        self.longest_s = 0.0

    def rounds(self, share: float, numbers: range) -> None:
        """Do rounds in which this share of the requests is spoilt."""
        for number in numbers:
            store = Datastore.open(settings(self._root, self._proxy.url))
            self._proxy.begin(at_random(self._seed * 1_000_003 + number, share, FAULTS))
            began = time.monotonic()
            try:
                self._round(store, number)
                self.ended["saved and loaded"] += 1
            except AirloomError as error:
                self.ended[f"error told: {error.kind}"] += 1
                if not isinstance(error, StoreError) or isinstance(error, NotFound):
                    self.wrong.append(f"round {number}: {error}")
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self.requests += len(self._proxy.lines)
            self.spoilt += self._proxy.spoilt
        self._proxy.begin(never)

    def _round(self, store: Datastore, number: int) -> None:
        run, saved = f"run-{number}", values(self._seed, number)
        told = self._told.setdefault(run, {"created": False, "committed": False})
        now = datetime.now(timezone.utc).isoformat()
        told["created"] = store.create_run(RunRecord("Drill", run, "b3:" + "0" * 64, now, "somebody"))
        if not told["created"]:
            self.wrong.append(f"{run} was created by us, and we were told that it was not")
        key = TaskKey("Drill", run, *TASK)
        attempt = store.claim(key, lambda attempt: BeginRecord(now, "host", os.getpid(), attempt))
        records = store.save_artifacts(saved)
        store.commit(key, attempt, DoneRecord(now, records, Outcome(("end",)), Usage(1, 1, 1)))
        told["committed"] = True
        for name, record in store.done(key).artifacts.items():
            if store.load_artifact(record, name).value != saved[name]:
                self.wrong.append(f"{run}: {name} was loaded wrong")

    def look(self) -> None:
        """Check over a good network that everything is whole, and as it was told."""
        store = Datastore.open(settings(self._root, self._server.url))
        listed = set(store.runs("Drill"))
        for run, told in self._told.items():
            if told["created"] and run not in listed:
                self.wrong.append(f"{run} was created and is not among the runs")
            key = TaskKey("Drill", run, *TASK)
            found = store.done_attempt(key)
            if found is None:
                if told["committed"]:
                    self.wrong.append(f"{run} was committed and is not done")
                continue
            self.ended["records whole"] += 1
            saved = values(self._seed, int(run.partition("-")[2]))
            for name, record in found[1].artifacts.items():
                if store.load_artifact(record, name).value != saved[name]:
                    self.wrong.append(f"{run}: {name} is wrong in the store")


def drill(server: Server, rounds: int, seed: int) -> dict[str, Any]:
    """Do the rounds, a third of them at each share of spoilt requests; give the figures."""
    figures: dict[str, Any] = {"rounds": rounds, "seed": seed, "wrong": []}
    with fault_proxy(server.port) as proxy:
        for place, share in enumerate(SHARES):
            found = Drill(server, proxy, seed)
            each = rounds // len(SHARES)
            found.rounds(share, range(place * each, (place + 1) * each))
            found.look()
            figures["wrong"] += found.wrong
            figures[f"{share:.0%} of requests spoilt"] = {
                **found.ended,
                "requests": found.requests,
                "spoilt": found.spoilt,
                "longest round in seconds": round(found.longest_s, 1),
            }
    return figures


def main() -> int:
    rounds, seed = (int(argument) for argument in sys.argv[1:])
    with served_s3() as server:
        os.environ.update(server.environment)
        figures = drill(server, rounds, seed)
    print(json.dumps(figures, indent=2))
    return 1 if figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
