"""Whatever happens to bytes or to the disk: the value that was saved, or an error, never another value."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airloom.errors import AirloomError, CorruptBlob
from airloom.store import artifacts, compression
from airloom.store import blobs as blobs_module
from airloom.store.blobs import Blobs
from airloom.store.local import LocalObjects

NOISE = np.random.default_rng(1).random(40_000)
VALUES: dict[str, object] = {
    "whole": 7,
    "text": "text " * 2000,
    "pair": (1, "two"),
    "array": NOISE[:1000],
    "noise": NOISE,
    "shrinking": np.arange(60_000),
    "both": {"a": NOISE + 1, "b": np.zeros(60_000)},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, artifacts.ArtifactRecord]]:
    """A store with small, large and compressed values in frames, of which tests change bytes for a while."""
    root = tmp_path_factory.mktemp("damage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "_FRAME", 64 << 10)
        return root, artifacts.save(Blobs(LocalObjects(root)), VALUES)


def is_saved_or_told(root: Path, name: str, record: artifacts.ArtifactRecord) -> bool:
    """Load as after ``verify=always``; True when the damage was told."""
    try:
        value = artifacts.load(Blobs(LocalObjects(root), "always"), record, name).value
    except AirloomError:
        return True
    np.testing.assert_equal(value, VALUES[name])
    return False


@settings(max_examples=250, suppress_health_check=list(HealthCheck), deadline=None)
@given(name=st.sampled_from(sorted(VALUES)), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_every_changed_bit_of_a_value_is_found(
    saved: tuple[Path, dict[str, artifacts.ArtifactRecord]], name: str, where: float, bit: int
) -> None:
    root, records = saved
    record = records[name]
    path = root / blobs_module.blob_key(record.pack or record.digest)
    with path.open("r+b") as file:
        at = record.offset + int(where * record.size)
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))
    try:
        assert is_saved_or_told(root, name, record)
    finally:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([byte]))
    assert not is_saved_or_told(root, name, record)


@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(VALUES)))
def test_a_record_of_other_bytes_gives_no_other_value(
    saved: tuple[Path, dict[str, artifacts.ArtifactRecord]], data: st.DataObject, name: str
) -> None:
    root, records = saved
    record = records[name]
    other = records[data.draw(st.sampled_from(sorted(VALUES)))]
    change = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "offset": st.integers(0, 2**20) | st.just(other.offset),
                "size": st.integers(0, 2**20) | st.just(other.size),
                "digest": st.just("b3:" + "0" * 64),
                "pack": st.just(other.digest),
                "compression": st.sampled_from(["", "zstd", "zstd-frames", "zsdd"]),
                "serializer": st.sampled_from(["json/1", "bytes/1", "pickle/1", "pickle/2", "pickle/3"]),
            },
        )
    )
    if change.get("serializer") == "bytes/1":
        return  # any bytes are a value of this form
    is_saved_or_told(root, name, replace(record, **change))


@pytest.mark.parametrize("name", ["noise", "both"])
def test_a_large_map_is_checked_in_head_and_length_at_once(
    saved: tuple[Path, dict[str, artifacts.ArtifactRecord]],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blobs_module, "ALWAYS_VERIFIED", 1000)
    root, records = saved
    record = records[name]
    key = blobs_module.blob_key(record.digest)
    data = (root / key).read_bytes()
    (tmp_path / key).parent.mkdir(parents=True)
    broken = [data[:-1], data + b"x", b"", *(data[:at] + b"\xff" + data[at + 1 :] for at in range(32))]
    for other in broken:
        (tmp_path / key).write_bytes(other)
        with pytest.raises(CorruptBlob, match=name):
            artifacts.load(Blobs(LocalObjects(tmp_path)), record, name)


DISK = """
    import os, sys
    from airloom.errors import StoreError
    from airloom.settings import Settings
    from airloom.store.datastore import Datastore

    root = sys.argv[1] + "/store"
    datastore = Datastore.open(Settings(datastore_root=root))
    first = datastore.save_artifacts({"x": 1, "y": os.urandom(1 << 20)})
    os.system("mount -o remount,ro " + sys.argv[1] if sys.argv[2] == "read-only" else "true")
    for value in (os.urandom(32 << 20), os.urandom(12 << 20), [os.urandom(200 << 10) for _ in range(60)]):
        try:
            datastore.save_artifacts({"before": 2, "large": value})
        except StoreError as error:
            print(error)
        else:
            print("saved")
    kept = [os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(root) for name in names]
    print("left", os.listdir(root + "/.tmp"), sum(kept) < 3 << 20)
    print("read", datastore.load_artifact(first["x"], "x").value)
    if sys.argv[2] == "full":
        datastore.save_artifacts({"x": 3})
        print("goes on")
"""


@pytest.mark.parametrize(
    ("kind", "reason", "mend"),
    [
        ("full", "No space left on device", "make room"),
        ("read-only", "Read-only file system", "the right to"),
    ],
)
def test_a_disk_that_takes_no_more_is_told_and_nothing_is_left(
    tmp_path: Path, kind: str, reason: str, mend: str
) -> None:
    disk, script = tmp_path / "disk", tmp_path / "script.py"
    disk.mkdir()
    script.write_text(textwrap.dedent(DISK))
    mount = f"mount -t tmpfs -o size=8m airloom {disk}"
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*alone, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system of one's own can be mounted here: {error}")
    command = f"{mount} && exec {sys.executable} {script} {disk} {kind}"
    done = subprocess.run([*alone, command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"could not be written: {reason}") == 3, done.stdout
    assert done.stdout.count(mend) == 3
    assert "saved" not in done.stdout
    assert "left [] True\nread 1" in done.stdout
    assert ("goes on" in done.stdout) is (kind == "full")
