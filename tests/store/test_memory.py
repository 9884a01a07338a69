"""Saving and loading take a constant of memory, or one copy, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
import numpy as np
from airloom.settings import Settings
from airloom.store.datastore import Datastore

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) >> 10

def noise(seed, count):
    return np.random.default_rng(seed).random(count)

def made(name):
    if name == "noise":
        return [noise(1, 8 << 20)]
    if name == "many":
        return [noise(seed, 1 << 16) for seed in range(128)]
    return [np.repeat(np.arange(16 << 10, dtype="f8"), 512)]

datastore = Datastore.open(Settings(datastore_root=sys.argv[1]))
# Threads, libraries and their own memory first.
datastore.save_artifacts({"x": noise(0, 1 << 20), "y": np.arange(1 << 20)})
for name in ("noise", "many", "shrinks"):
    value = made(name)
    with open("/proc/self/clear_refs", "w") as out:
        out.write("5")
    before = status("VmRSS")
    record = datastore.save_artifacts({"x": value})["x"]
    print(name, "save", status("VmHWM") - before)
    del value
    before = status("RssAnon")
    loaded = datastore.load_artifact(record, "x").value
    sum(part[::512].sum() for part in loaded)
    print(name, "load", status("RssAnon") - before)
    del loaded
"""


def test_memory_is_bounded(tmp_path: Path) -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        pytest.skip(f"the system does not tell how much memory a process has: {error}")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    took = {(name, verb): int(mib) for name, verb, mib in map(str.split, done.stdout.splitlines())}
    # In MiB, of values of 64 MiB. What shrank is decompressed into memory of its own.
    most = {
        ("noise", "save"): 12,
        ("noise", "load"): 12,
        ("many", "save"): 12,
        ("many", "load"): 12,
        ("shrinks", "save"): 30,
        ("shrinks", "load"): 64 + 30,
    }
    assert took.keys() == most.keys()
    assert {what: mib for what, mib in took.items() if mib > most[what]} == {}
