"""What a bad network does to a bucket's objects: the right answer, or a clear error, never a wrong value."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from airloom.errors import AirloomError, NotFound, SettingsError, StoreError, StoreUnavailable
from airloom.settings import Settings
from airloom.store.objects import Objects, open_objects
from airloom.store.remote import PART
from support.fault_proxy import Fault, FaultProxy, Plan
from support.stores import Server

pytestmark = pytest.mark.store

PATIENT = Settings(store_timeout_s="1", store_deadline_s="60", store_retries="3")
FAULTS = {
    "refused": Fault(refuse=True),
    "busy": Fault(answer="503 SlowDown"),
    "broken": Fault(answer="500 InternalError"),
    "silent": Fault(silent=True),
    "cut on the way": Fault(sent=40),
    "answer lost": Fault(sent_all=True),
    "answer cut": Fault(received=5),
    "answer half closed": Fault(received=5, politely=True),
    "late": Fault(latency_s=0.2),
}
LARGE = os.urandom(PART + 5)

OPERATIONS: dict[str, Callable[[Objects], Any]] = {
    "put": lambda store: store.put("new", [b"x" * 100]),
    "put large": lambda store: store.put("new", [LARGE]),
    "put_if_absent": lambda store: store.put_if_absent("new", [b"x" * 100]),
    "put_if_absent where there is one": lambda store: store.put_if_absent("there", [b"x" * 100]),
    "put_named": lambda store: store.put_named([b"x" * 100], lambda: "new"),
    "put_named large": lambda store: store.put_named([LARGE], lambda: "new"),
    "get": lambda store: store.get("there"),
    "get_range": lambda store: store.get_range("there", 3, 4),
    "map": lambda store: bytes(store.map("there")),
    "map large": lambda store: bytes(store.map("large")),
    "size": lambda store: store.size("there"),
    "exists": lambda store: store.exists("there"),
    "list": lambda store: sorted(set(store.list()) - {"new"}),
    "children": lambda store: sorted(set(store.children()) - {"new"}),
    "delete": lambda store: store.delete("gone"),
}


def first(count: int, fault: Fault) -> Plan:
    return lambda number, _: fault if number < count else None


@pytest.fixture
def store(proxied: FaultProxy, s3: str) -> Objects:
    """A store behind the proxy, in which an object is there already."""
    found = open_objects(s3, PATIENT)
    found.put_if_absent("there", [b"0123456789" * 20])
    return found


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_outlives_a_fault(
    store: Objects, proxied: FaultProxy, operation: str, fault: str
) -> None:
    if operation == "map large":
        store.put("large", [LARGE])
    proxied.begin(first(1, FAULTS[fault]))
    answer = OPERATIONS[operation](store)
    assert proxied.spoilt
    proxied.begin(first(0, Fault()))
    if operation.startswith("put"):
        assert store.get("there") == b"0123456789" * 20
        wanted = LARGE if "large" in operation else b"x" * 100
        if "where there is one" in operation:
            assert answer is False
        else:
            assert store.get("new") == wanted
            assert answer in (None, True)
    else:
        assert answer == OPERATIONS[operation](store)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_store_that_is_gone_is_told_and_written_nothing(
    store: Objects, proxied: FaultProxy, operation: str
) -> None:
    proxied.begin(first(1000, Fault(refuse=True)))
    with pytest.raises(StoreUnavailable, match="interrupted") as caught:
        OPERATIONS[operation](store)
    assert "AIRLOOM_STORE_RETRIES" in caught.value.mend
    assert proxied.spoilt <= 3 * (int(PATIENT.store_retries) + 1)
    proxied.begin(first(0, Fault()))
    assert list(store.list()) == ["there"]


class TestCreateOnly:
    def test_who_created_it_is_told_so_though_the_answer_was_lost(
        self, store: Objects, proxied: FaultProxy
    ) -> None:
        proxied.begin(first(1, Fault(sent_all=True)))
        assert store.put_if_absent("new", [b"mine"])
        assert store.get("new") == b"mine"

    def test_who_did_not_is_told_so_though_the_bytes_are_the_same(
        self, store: Objects, proxied: FaultProxy
    ) -> None:
        assert store.put_if_absent("new", [b"same"])
        proxied.begin(first(1, Fault(sent=10)))
        assert not store.put_if_absent("new", [b"same"])

    def test_who_loses_every_answer_but_the_look_is_told_the_truth(
        self, store: Objects, proxied: FaultProxy
    ) -> None:
        proxied.begin(lambda _, line: Fault(sent_all=True) if line.startswith("PUT") else None)
        assert store.put_if_absent("new", [b"mine"])
        proxied.begin(lambda _, line: Fault(sent=10) if line.startswith("PUT") else None)
        assert not store.put_if_absent("new", [b"mine"])

    def test_a_request_for_the_same_key_at_the_same_time_is_waited_for(
        self, store: Objects, proxied: FaultProxy
    ) -> None:
        proxied.begin(first(1, Fault(answer="409 ConditionalRequestConflict")))
        assert store.put_if_absent("new", [b"mine"])


class TestParts:
    def test_only_the_part_that_broke_off_is_sent_again(self, store: Objects, proxied: FaultProxy) -> None:
        proxied.begin(
            lambda _, line: Fault(sent=2) if "partNumber=2" in line and not proxied.spoilt else None
        )
        store.put("new", [LARGE])
        parts = [line for line in proxied.lines if "partNumber=" in line]
        assert sorted(line.partition("partNumber=")[2][0] for line in parts) == ["1", "2", "2"]
        assert store.get("new") == LARGE

    def test_an_upload_that_cannot_end_is_taken_back(
        self, store: Objects, proxied: FaultProxy, s3_server: Server
    ) -> None:
        proxied.begin(lambda _, line: Fault(sent=2) if "partNumber=2" in line else None)
        with pytest.raises(StoreUnavailable, match="interrupted"):
            store.put("new", [LARGE])
        (begun,) = [line for line in proxied.lines if "uploads" in line]
        (ended,) = [line for line in proxied.lines if line.startswith("DELETE")]
        assert begun.split("?")[0].removeprefix("POST") == ended.split("?")[0].removeprefix("DELETE")
        assert not store.exists("new")


class TestErrors:
    """What is wrong, where, and how to mend it; and no secret in it."""

    @pytest.mark.parametrize(
        ("answer", "kind", "what", "mend"),
        [
            ("403 AccessDenied", StoreError, "access is denied", "allow it"),
            ("403 InvalidAccessKeyId", StoreError, "does not know the credentials", "correct them"),
            ("403 SignatureDoesNotMatch", StoreError, "does not know the credentials", "correct them"),
            ("403 RequestTimeTooSkewed", StoreUnavailable, "clock is too far", "set the clock"),
            ("400 ExpiredToken", StoreUnavailable, "have expired", "renew them"),
            ("400 AuthorizationHeaderMalformed", SettingsError, "another region", "AIRLOOM_STORE_REGION"),
            ("301 PermanentRedirect", SettingsError, "another region", "AIRLOOM_STORE_REGION"),
            ("400 InvalidRequest", StoreError, "answered 400 InvalidRequest", "AIRLOOM_STORE_ENDPOINT"),
            ("503 SlowDown", StoreUnavailable, "answered 503 SlowDown", "try again"),
            ("429 TooManyRequests", StoreUnavailable, "answered 429", "try again"),
        ],
    )
    @pytest.mark.parametrize("operation", ["put", "put_if_absent", "get", "map", "list", "children"])
    def test_a_refusal_is_told(
        self,
        store: Objects,
        proxied: FaultProxy,
        operation: str,
        answer: str,
        kind: type[AirloomError],
        what: str,
        mend: str,
    ) -> None:
        proxied.begin(first(1000, Fault(answer=answer)))
        with pytest.raises(kind, match=what) as caught:
            OPERATIONS[operation](store)
        assert type(caught.value) is kind
        assert mend in caught.value.mend
        assert str(caught.value.where).startswith("s3://bucket")
        told = "".join(traceback.format_exception(caught.value))
        for secret in ("secret-of-the-test", "Signature=", "Credential=", "Authorization:"):
            assert secret not in told

    @pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - {"delete"}))
    def test_a_bucket_that_is_not_there_is_told(self, s3: str, operation: str) -> None:
        store = open_objects("s3://no-such-bucket/folder", Settings())
        with pytest.raises(StoreError, match="the bucket does not exist") as caught:
            OPERATIONS[operation](store)
        assert not isinstance(caught.value, NotFound)
        assert caught.value.where == "s3://no-such-bucket"

    @pytest.mark.parametrize(
        ("endpoint", "what"),
        [
            ("http://127.0.0.1:1", "http://127.0.0.1:1 accepts no connection"),
            ("http://no-such-host.invalid", "no address is known for http://no-such-host.invalid"),
        ],
    )
    def test_a_server_that_is_not_there_is_told(self, s3: str, endpoint: str, what: str) -> None:
        store = open_objects(s3, Settings(store_endpoint=endpoint, store_retries="1"))
        with pytest.raises(StoreUnavailable, match=what) as caught:
            store.get("a")
        assert "AIRLOOM_STORE_ENDPOINT" in caught.value.mend
