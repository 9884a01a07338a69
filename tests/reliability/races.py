"""Many processes that write one key at the same moment.

``python tests/reliability/races.py STORE PROCESSES ROUNDS`` lets all of them meet before each
round, create one key, and claim an attempt at one task. It prints what went wrong as JSON, and
ends with 1 when anything did.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.objects import open_objects
from airloom.store.records import BeginRecord

NOW = "2026-11-25T10:00:00+00:00"

Answers = dict[int, tuple[bool, int]]


def race(root: str, number: int, rounds: int, meet: Barrier, answers: Queue[tuple[int, Answers]]) -> None:
    settings = Settings(datastore_root=root)
    objects, store = open_objects(root, settings), Datastore.open(settings)
    won: Answers = {}
    for turn in range(rounds):
        meet.wait()
        first = objects.put_if_absent(f"race/{turn}", [f"{number}".encode() * 1000])
        key = TaskKey("Race", f"{turn}", "start", "0")
        won[turn] = first, store.claim(key, lambda found: BeginRecord(NOW, "host", number, found))
    answers.put((number, won))


def main(root: str, processes: int, rounds: int) -> int:
    context = multiprocessing.get_context("fork")
    meet, answers = context.Barrier(processes), context.Queue()
    running = [
        context.Process(target=race, args=(root, number, rounds, meet, answers))
        for number in range(processes)
    ]
    for process in running:
        process.start()
    found = dict(answers.get(timeout=300) for _ in running)
    for process in running:
        process.join()
    wrong = list(check(root, found, rounds))
    print(json.dumps({"processes": processes, "rounds": rounds, "wrong": wrong[:20]}))
    return bool(wrong)


def check(root: str, found: dict[int, Answers], rounds: int) -> list[str]:
    settings = Settings(datastore_root=root)
    objects, store = open_objects(root, settings), Datastore.open(settings)
    wrong = []
    for turn in range(rounds):
        winners = [number for number, won in found.items() if won[turn][0]]
        if len(winners) != 1:
            wrong.append(f"round {turn}: {winners} believe that they were first")
        elif objects.get(f"race/{turn}") != f"{winners[0]}".encode() * 1000:
            wrong.append(f"round {turn}: the object is not the winner's")
        key = TaskKey("Race", f"{turn}", "start", "0")
        claimed = {won[turn][1]: number for number, won in found.items()}
        if sorted(claimed) != list(range(len(found))):
            wrong.append(f"round {turn}: the attempts {sorted(claimed)} were claimed")
        wrong += [
            f"round {turn}: attempt {attempt} is not that of {number}"
            for attempt, number in claimed.items()
            if store.begin(key, attempt).pid != number
        ]
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])) or os.EX_OK)
