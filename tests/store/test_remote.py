"""What holds for buckets alone: large objects, one winner, forks, servers that cannot create only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airloom.errors import SettingsError, StoreUnavailable
from airloom.settings import Settings
from airloom.store.access import Access, grant
from airloom.store.objects import Objects, open_objects
from airloom.store.remote import PART, RemoteObjects
from airloom.store.urls import parse
from support.fault_proxy import Fault, FaultProxy
from support.stores import Server, only

pytestmark = pytest.mark.store

RACE = """
import os, sys, time
from airloom.settings import Settings
from airloom.store.objects import open_objects
store = open_objects(sys.argv[1], Settings())
store.get("ready")
print("ready", flush=True)
while not os.path.exists(sys.argv[2]): time.sleep(0.001)
print(*(int(store.put_if_absent(f"race/{number}", [sys.argv[3].encode()])) for number in range(20)))
"""

FORK_AFTER_USE = """
import os, sys
from airloom.errors import StoreError
from airloom.settings import Settings
from airloom.store.objects import open_objects
store = open_objects(sys.argv[1], Settings())
store.put("a", [b"parent"])
child = os.fork()
if child == 0:
    for known in (store, open_objects(sys.argv[1], Settings())):
        try:
            known.get("a")
        except StoreError as error:
            print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(store.get("a").decode())
"""

FORK_BEFORE_USE = """
import os, sys
from airloom.settings import Settings
from airloom.store.objects import open_objects
store = open_objects(sys.argv[1], Settings())
for number in range(3):
    child = os.fork()
    if child == 0:
        store.put(f"child/{number}", [b"x"])
        print(store.get(f"child/{number}").decode(), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""

PEAK = """
import resource, sys
from airloom.settings import Settings
from airloom.store.objects import open_objects
store = open_objects(sys.argv[1], Settings(store_connections="2"))
size = 96 << 20
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
store.put("small", [b"x"]); store.map("small")
if sys.argv[2] == "put":
    data = bytearray(size)
    for page in range(0, size, 4096):
        data[page] = page & 0xff
    before = peak()
    store.put("large", [b"head", data])
    print(peak() - before)
else:
    before = peak()
    data = store.map("large")
    print(peak() - before - (len(data) >> 20))
    assert len(data) == size + 4 and all(data[4 + page] == page & 0xff for page in range(0, size, 4096))
"""


def python(script: str, *arguments: str, environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def store(s3: str) -> Objects:
    return open_objects(s3, Settings())


class TestLargeObjects:
    @pytest.mark.parametrize("size", [PART, PART + 1, 3 * PART - 1])
    def test_an_object_of_many_parts_comes_back_whole(self, store: Objects, size: int) -> None:
        data = os.urandom(size)
        store.put("a", [data[:11], data[11:]])
        assert store.size("a") == size
        assert store.map("a") == data
        assert store.get_range("a", PART - 5, 10) == data[PART - 5 : PART + 5]

    def test_a_map_of_many_parts_is_private(self, store: Objects) -> None:
        store.put("a", [bytes(PART + 4)])
        view = store.map("a")
        view[-4:] = b"mine"
        assert store.map("a")[-4:] == bytes(4)

    def test_memory_is_bounded_by_the_parts_in_flight(self, s3_server: Server, s3: str) -> None:
        for way in ("put", "map"):
            more_mib = int(python(PEAK, s3, way, environment=only(s3_server)))
            # Two parts of 8 MiB, each once more on its way through the client; never the 96 MiB again.
            assert more_mib < 64, way


class TestRaces:
    @pytest.mark.parametrize("kind", ["s3", "az"])
    def test_of_sixteen_processes_one_wins_each_key(
        self, kind: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        url: str = request.getfixturevalue(kind)
        server: Server = request.getfixturevalue(f"{kind}_server")
        open_objects(url, Settings()).put("ready", [b""])
        gate = tmp_path / "gate"
        command = [sys.executable, "-c", RACE, url, str(gate)]
        started = [
            subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True, env=only(server))
            for number in range(16)
        ]
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        gate.touch()
        won = [[int(answer) for answer in process.communicate(timeout=120)[0].split()] for process in started]
        assert [sum(winners) for winners in zip(*won, strict=True)] == [1] * 20
        store = open_objects(url, Settings())
        for key in range(20):
            assert won[int(store.get(f"race/{key}"))][key] == 1


class TestForks:
    def test_a_child_of_a_process_that_used_a_store_is_refused(self, s3_server: Server, s3: str) -> None:
        said = python(FORK_AFTER_USE, s3, environment=only(s3_server))
        assert said.count("cannot be used in a forked child") == 2
        assert said.count("start the child anew") == 2
        assert said.endswith("parent\n")

    def test_a_child_of_a_process_that_only_opened_one_may_use_it(self, s3_server: Server, s3: str) -> None:
        assert python(FORK_BEFORE_USE, s3, environment=only(s3_server)) == "x\n" * 3


class TestServersThatReplace:
    def test_one_is_refused(self, proxied: FaultProxy, s3: str) -> None:
        proxied.deaf = True
        store = open_objects(s3, Settings())
        for _ in range(2):
            with pytest.raises(SettingsError, match="replaces objects") as caught:
                store.put_if_absent("a", [b"x"])
        assert "AIRLOOM_STORE_CREATE=weak" in caught.value.mend
        assert list(store.list()) == []

    def test_one_can_be_used_by_whoever_asks_for_it(self, proxied: FaultProxy, s3: str) -> None:
        proxied.deaf = True
        for _ in range(2):
            store = open_objects(s3, Settings(store_create="weak"))
            assert store.put_if_absent("a", [b"x"]) == (_ == 0)
            assert not store.put_if_absent("a", [b"y"])
            assert store.get("a") == b"x"

    def test_one_that_says_so_is_refused_as_well(self, proxied: FaultProxy, s3: str) -> None:
        not_offered = Fault(answer="501 NotImplemented")
        proxied.begin(lambda _, line: not_offered if line[:3] == "PUT" and "creates" not in line else None)
        with pytest.raises(SettingsError, match="replaces objects"):
            open_objects(s3, Settings()).put_if_absent("a", [b"x"])

    def test_one_that_is_mended_is_used_again(self, proxied: FaultProxy, s3: str) -> None:
        proxied.deaf = True
        with pytest.raises(SettingsError):
            open_objects(s3, Settings()).put_if_absent("a", [b"x"])
        proxied.deaf = False
        assert open_objects(s3, Settings()).put_if_absent("a", [b"x"])


class TestRequests:
    @pytest.fixture
    def asked(self, s3_server: Server, s3: str) -> Callable[[Callable[[Objects], Any]], Counter[str]]:
        """Count the requests of something that a newly opened store does, by method."""
        open_objects(s3, Settings()).put_if_absent("flows/F/runs/7/run.json", [b"{}"])

        def count(act: Callable[[Objects], Any]) -> Counter[str]:
            store = open_objects(s3, Settings())
            s3_server.forget()
            act(store)
            return Counter(line.partition(" ")[0] for line in s3_server.requests())

        return count

    @pytest.mark.parametrize(
        ("act", "requests"),
        [
            (lambda store: store.put("a", [b"x"]), {"PUT": 1}),
            (lambda store: store.put_if_absent("a", [b"x"]), {"GET": 1, "PUT": 1}),
            (lambda store: [store.put_if_absent(f"{n}", [b"x"]) for n in range(5)], {"GET": 1, "PUT": 5}),
            (lambda store: store.put_named([b"x"], lambda: "a"), {"GET": 1, "PUT": 1}),
            (lambda store: store.put_named([bytes(1 << 20)], lambda: "a"), {"HEAD": 1, "PUT": 1, "GET": 1}),
            (lambda store: store.map("flows/F/runs/7/run.json"), {"GET": 1}),
            (lambda store: store.get_range("flows/F/runs/7/run.json", 0, 1), {"GET": 1}),
            (lambda store: store.size("flows/F/runs/7/run.json"), {"HEAD": 1}),
            (lambda store: list(store.list()), {"GET": 1}),
            (lambda store: store.children(), {"GET": 1}),
        ],
        ids=[
            "put",
            "put_if_absent",
            "put_if_absent five times",
            "put_named",
            "put_named of a megabyte",
            "map",
            "get_range",
            "size",
            "list",
            "children",
        ],
    )
    def test_what_an_operation_costs(
        self,
        asked: Callable[[Callable[[Objects], Any]], Counter[str]],
        act: Callable[[Objects], Any],
        requests: dict[str, int],
    ) -> None:
        assert asked(act) == requests

    def test_a_task_need_not_ask_what_the_server_can_do(
        self, asked: Callable[[Callable[[Objects], Any]], Counter[str]]
    ) -> None:
        def task(store: Objects) -> None:
            store.get("flows/F/runs/7/run.json")
            store.put_if_absent("flows/F/runs/7/begin.json", [b"{}"])

        assert asked(task) == {"GET": 1, "PUT": 1}

    def test_many_are_deleted_at_once(
        self, asked: Callable[[Callable[[Objects], Any]], Counter[str]], s3: str
    ) -> None:
        store = open_objects(s3, Settings())
        keys = [f"many/{number}" for number in range(30)]
        for key in keys:
            store.put(key, [b"x"])
        assert asked(lambda store: store.delete_many([*keys, "not/there"])) == {"POST": 1}
        assert store.children("many") == []


class TestAccess:
    def test_credentials_that_end_are_asked_for_again(self, s3: str) -> None:
        asked = []

        def credentials() -> dict[str, Any]:
            asked.append(1)
            now = datetime.now(timezone.utc)
            return {"access_key_id": "a", "secret_access_key": "b", "token": "c", "expires_at": now}

        location = parse(f"{s3}/of its own")
        grant(location, Access(credentials=credentials))
        store = RemoteObjects(location, Settings())
        for _ in range(3):
            store.put("a", [b"x"])
        assert len(asked) == 3

    def test_settings_name_the_server_and_the_region(
        self, s3: str, s3_server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_objects(s3, Settings()).put("a", [b"x"])
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        found = Settings(store_endpoint=s3_server.url, store_region="eu-central-1")
        assert open_objects(s3, found).get("a") == b"x"

    def test_a_profile_file_opens_a_store(
        self, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)
        (tmp_path / "credentials").write_text("[other]\naws_access_key_id = a\naws_secret_access_key = b\n")
        (tmp_path / "config").write_text("[profile other]\nregion = eu-west-1\n")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_PROFILE", "other")
        store = open_objects(s3, Settings())
        store.put("a", [b"x"])
        assert store.get("a") == b"x"

    def test_a_bucket_can_stand_in_the_servers_name(self, s3: str) -> None:
        # Nothing listens there, and the error tells where it was looked for.
        found = Settings(store_addressing="virtual", store_endpoint="http://localhost:1", store_retries="0")
        with pytest.raises(StoreUnavailable, match=f"http://{parse(s3).bucket}.localhost:1"):
            open_objects(s3, found).get("a")
