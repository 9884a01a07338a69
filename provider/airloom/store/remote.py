"""Bytes by key in a bucket: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

::

    <root>/.airloom/creates     what was found out about the server, once for all; never a key
    <root>/.airloom/<unique>    what it is found out with
    <root>/<key>                complete, always: a bucket shows an object when all of it is there

The client is obstore, in Rust, on threads of its own. Those do not live on in a forked child,
which would wait for them for ever: a child of a process that has used a remote store is
refused. A child of one that has not may use it.
"""

from __future__ import annotations

import mmap
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import uuid4

import obstore
from obstore import exceptions as refusals

from airloom.errors import AirloomError, NotFound, SettingsError, StoreError, StoreUnavailable
from airloom.settings import Settings, variable
from airloom.store.access import DEFAULTS, preload
from airloom.store.clients import FIRST_PAUSE_S, LONGEST_PAUSE_S, Clients, make, stay_in_one_process
from airloom.store.network_errors import gave_up_at_once, is_conflict, is_no_bucket, status, translate
from airloom.store.objects import REFRESHED_S, Entries, Entry, Names, check_key, flat, missing, total
from airloom.store.urls import Location

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")

PART = 8 << 20
"""Objects of more bytes go and come in parts of so many."""

# S3 and Google take 10,000 parts of an object; Azure more.
_MOST_PARTS = 9_000
# Below this it costs less to send the bytes in vain than to ask first.
_AT_ONCE = 64 << 10
_PAGE = 1_000
_CREATES = ".airloom/creates"
_OVER = object()
_WRITER = "writer"


class _Present(Exception):
    """There is an object already."""


class _NotOffered(Exception):
    """The server knows no create-only writes and says so."""


class RemoteObjects:
    """Objects in a folder of a bucket. Opening asks nothing of the server.

    Parameters
    ----------
    location
        The bucket and the folder.
    settings
        Those whose names begin with ``store_``.
    """

    is_local: ClassVar[bool] = False

    def __init__(self, location: Location, settings: Settings) -> None:
        self._location = location
        self._settings = settings
        self._connections = int(settings.store_connections)
        self._lock = threading.Lock()
        self._made: Clients | None = None
        self._creates: bool | None = None
        self._answered = False
        preload(location)

    def __repr__(self) -> str:
        return f"RemoteObjects({self.root!r})"

    @property
    def root(self) -> str:
        return self._location.url

    # -- writing ---------------------------------------------------------------------------

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        self._put(check_key(key), parts)

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        return self._create(check_key(key), _joined(parts))

    def put_named(self, parts: Sequence[Buffer], name: Callable[[], str]) -> bool:
        key, size = check_key(name()), total(parts)
        if size <= _AT_ONCE:
            if self._create(key, _joined(parts)):
                return True
            if self.refresh(key, size):
                return False
            self._put(key, parts)
            return True
        if self.refresh(key, size):
            return False
        try:
            self._put(key, parts)
        except StoreError:
            # The last answer may have been lost; the name says what the bytes are.
            if not self.refresh(key, size):
                raise
        return True

    def refresh(self, key: str, size: int) -> bool:
        found = self._head(check_key(key))
        if found is None or found["size"] != size:
            return False
        age: float = time.time() - found["last_modified"].timestamp()
        return age <= REFRESHED_S

    def delete(self, key: str) -> None:
        self._delete(check_key(key))

    def delete_many(self, keys: Iterable[str]) -> None:
        batch: list[str] = []
        for key in keys:
            batch.append(check_key(key))
            if len(batch) == _PAGE:
                self._delete_batch(batch)
                batch = []
        self._delete_batch(batch)

    def tidy(self, before: float) -> int:
        return 0

    # -- reading ---------------------------------------------------------------------------

    def get(self, key: str) -> bytes:
        with self._told(check_key(key), "read"):
            data = self._tried(lambda client: bytes(obstore.get(client, key).bytes()))
        self._answered = True
        if key.endswith("/run.json"):
            # Whoever created the run has found out what the server can do, and all its tasks
            # begin with this record: so none of them has to ask again.
            self._creates = self._creates or self._settings.store_create == "strict" or None
        return data

    def get_range(self, key: str, offset: int, length: int) -> memoryview:
        if not length:
            self.size(key)
            return memoryview(b"")
        return self._range(check_key(key), offset, length)[0]

    def map(self, key: str) -> memoryview:
        first, size = self._range(check_key(key), 0, PART)
        if size <= PART:
            return memoryview(bytearray(first))
        # Anonymous memory: nobody fills it with zeros first, and it begins at a page.
        whole = memoryview(mmap.mmap(-1, size))
        whole[: len(first)] = first
        del first

        def fetch(offset: int) -> None:
            wanted = min(PART, size - offset)
            piece, now = self._range(key, offset, wanted, large=True)
            if now != size or len(piece) != wanted:
                raise StoreUnavailable(
                    "the object changed while it was read", where=self._where(key), mend="read it again."
                )
            whole[offset : offset + wanted] = piece

        with ThreadPoolExecutor(self._connections, "airloom-map") as pool:
            try:
                for _ in pool.map(fetch, range(PART, size, PART)):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return whole

    def exists(self, key: str) -> bool:
        return self._head(check_key(key)) is not None

    def size(self, key: str) -> int:
        return self.entry(key).size

    def entry(self, key: str) -> Entry:
        found = self._head(check_key(key))
        if found is None:
            raise missing(self._where(key))
        return Entry(key, int(found["size"]), found["last_modified"].timestamp())

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[str]:
        for found in self._listed(prefix, start_after):
            yield found["path"]

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        for found in self._listed(prefix, ""):
            yield Entry(found["path"], found["size"], found["last_modified"].timestamp())

    def children(self, prefix: str = "") -> Names:
        found = self._folder(prefix)
        skipped = len(prefix) + 1 if prefix else 0
        paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return sorted({path[skipped:] for path in paths if _is_key(path)})

    def folder(self, prefix: str = "") -> tuple[Entries, Names]:
        found = self._folder(prefix)
        skipped = len(prefix) + 1 if prefix else 0
        objects = [
            Entry(entry["path"], entry["size"], entry["last_modified"].timestamp())
            for entry in found["objects"]
            if _is_key(entry["path"])
        ]
        folders = (path.rstrip("/")[skipped:] for path in found["common_prefixes"])
        return sorted(objects), sorted(name for name in folders if _is_key(name))

    # -- one request -----------------------------------------------------------------------

    def _put(self, key: str, parts: Sequence[Buffer], attributes: dict[str, str] | None = None) -> None:
        size = total(parts)
        options: dict[str, Any] = {"use_multipart": False, "attributes": attributes}
        if size > PART:
            # Each part is tried again by itself, and all are taken back when one cannot go.
            options["use_multipart"] = True
            options["chunk_size"] = max(PART, -(-size // _MOST_PARTS))
            options["max_concurrency"] = self._connections

        def put(client: Any) -> None:
            obstore.put(client, key, _joined(parts) if size <= PART else _pieces(parts), **options)

        with self._told(key, "written"):
            self._tried(put, large=size > PART)
        self._answered = True

    def _range(self, key: str, offset: int, length: int, *, large: bool = False) -> tuple[memoryview, int]:
        """Read a part of an object, and how long all of it is; nothing from behind its end."""

        def part(client: Any) -> tuple[memoryview, int]:
            found = obstore.get(client, key, options={"range": (offset, offset + length)})
            return memoryview(found.bytes()), int(found.meta["size"])

        with self._told(key, "read"):
            try:
                answer = self._tried(part, large=large)
            except refusals.GenericError as error:
                if status(error) != 416:
                    raise
                answer = memoryview(b""), 0
        self._answered = True
        return answer

    def _head(self, key: str) -> Any:
        try:
            with self._told(key, "looked for"):
                found = self._tried(lambda client: obstore.head(client, key))
        except NotFound:
            if not self._answered:
                # An answer to HEAD has no body: it may be the bucket that is missing.
                self._answered = True
                next(self._listed("", ""), None)
            return None
        self._answered = True
        return found

    def _listed(self, prefix: str, start_after: str) -> Iterator[Any]:
        folder = check_key(prefix) if prefix else None
        after, tries = start_after, self._tries()
        next(tries)
        going = True
        while going:
            with self._told(prefix, "listed"):
                try:
                    for found in self._pages(folder, after.rstrip("/")):
                        # Not every server begins where it is told to.
                        if found["path"] > after and _is_key(found["path"]):
                            after = found["path"]
                            yield found
                    going = False
                except refusals.BaseError as error:
                    if not gave_up_at_once(error) or next(tries, _OVER) is _OVER:
                        raise

    def _pages(self, folder: str | None, after: str) -> Iterator[Any]:
        offset = after if _is_key(after) else None
        for page in obstore.list(self._clients().usual, folder, offset=offset, chunk_size=_PAGE):
            self._answered = True
            yield from page

    def _folder(self, prefix: str) -> Any:
        with self._told(check_key(prefix) if prefix else "", "listed"):
            found = self._tried(lambda client: obstore.list_with_delimiter(client, prefix or None))
        self._answered = True
        return found

    def _delete(self, key: str) -> None:
        with suppress(NotFound), self._told(key, "deleted"):
            self._tried(lambda client: obstore.delete(client, key))

    def _delete_batch(self, keys: Names) -> None:
        if not keys:
            return
        try:
            with self._told(keys[0], "deleted"):
                self._tried(lambda client: obstore.delete(client, keys))
        except NotFound:
            # Some clouds stop at an object that is not there.
            for key in keys:
                self._delete(key)

    # -- create-only -----------------------------------------------------------------------

    def _create(self, key: str, data: Buffer) -> bool:
        if self._creates is None:
            self._creates = self._can_create()
        return self._create_once(key, data) if self._creates else self._create_weakly(key, data)

    def _create_once(self, key: str, data: Buffer) -> bool:
        """Create an object where there is none, and know for sure who did.

        A request whose answer was lost may have created it. So each caller writes a mark of its
        own beside the bytes, and looks for it when its own second try finds the object there.
        """
        mark = uuid4().hex
        clients = self._clients()
        unsure = False
        for _ in self._tries():
            try:
                with self._told(key, "created"):
                    obstore.put(
                        clients.once,
                        key,
                        data,
                        mode="create",
                        attributes={_WRITER: mark},
                        use_multipart=False,
                    )
            except _Present:
                return unsure and self._is_mine(key, mark, data)
            except StoreUnavailable as error:
                last = error
                unsure = True
            else:
                self._answered = True
                return True
        try:
            return self._is_mine(key, mark, data)
        except StoreError:
            raise last from None

    def _is_mine(self, key: str, mark: str, data: Buffer) -> bool:
        with self._told(key, "read"):
            found = self._tried(lambda client: obstore.get(client, key))
            writer = found.attributes.get(_WRITER)
            # A server that keeps no such marks leaves only the bytes to tell by.
            return writer == mark if writer else found.bytes() == data

    def _create_weakly(self, key: str, data: Buffer) -> bool:
        if self.exists(key):
            return False
        mark = uuid4().hex
        self._put(key, [data], {_WRITER: mark})
        return self._is_mine(key, mark, data)

    def _can_create(self) -> bool:
        """Find out whether the server creates objects only where there are none.

        Raises
        ------
        SettingsError
            When it does not, and the settings say ``strict``.
        """
        strict = self._settings.store_create == "strict"
        known = self._known()
        if known == b"only" or (known == b"always" and not strict):
            return known == b"only"
        can = self._probe()
        self._put(_CREATES, [b"only" if can else b"always"])
        if strict and not can:
            raise SettingsError(
                "the store's server replaces objects where it was told to create them only: of two "
                "tasks that claim one attempt, both would believe to have it",
                where=self.root,
                mend=f"use a server that heeds If-None-Match (docs/stores.md names some), or set "
                f"{variable('store_create')}=weak and never run one task twice at a time.",
            )
        return can

    def _known(self) -> bytes | None:
        try:
            with self._told(_CREATES, "read"):
                return self._tried(lambda client: bytes(obstore.get(client, _CREATES).bytes()))
        except NotFound:
            return None

    def _probe(self) -> bool:
        key = f".airloom/{uuid4().hex}"
        try:
            return self._create_once(key, b"first") and not self._create_once(key, b"second")
        except _NotOffered:
            return False
        finally:
            self._delete(key)

    # -- trouble that passes ---------------------------------------------------------------

    def _tries(self) -> Iterator[None]:
        """Give a turn at once, and others after a pause, as many and as long as the settings say."""
        ends = time.monotonic() + int(self._settings.store_deadline_s)
        yield
        for number in range(int(self._settings.store_retries)):
            longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**number)
            time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - it spreads the tries of many
            if time.monotonic() > ends:
                return
            yield

    def _tried(self, act: Callable[[Any], T], *, large: bool = False) -> T:
        """Do what may be done twice; again where the client itself would not."""
        clients = self._clients()
        client = clients.large if large else clients.usual
        last: refusals.BaseError | None = None
        for _ in self._tries():
            try:
                return act(client)
            except refusals.BaseError as error:
                if not gave_up_at_once(error):
                    raise
                last = error
        assert last is not None  # noqa: S101 - there is always a first try
        raise last

    # -- errors, and the client ------------------------------------------------------------

    @contextmanager
    def _told(self, key: str, verb: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if is_no_bucket(error):
                raise self._error(error, key, verb) from None
            self._answered = self._answered or verb == "read"
            raise missing(self._where(key)) from None
        except refusals.AlreadyExistsError as error:
            if is_conflict(error):
                raise StoreUnavailable(
                    f"the object could not be {verb}: another request for it is going on",
                    where=self._where(key),
                    mend="try again.",
                ) from None
            raise _Present from None
        except (refusals.BaseError, OSError, ValueError) as error:
            if verb == "created" and status(error) == 501:
                raise _NotOffered from None
            raise self._error(error, key, verb) from None

    def _error(self, error: BaseException, key: str, verb: str) -> AirloomError:
        source = self._made.source if self._made is not None else DEFAULTS
        return translate(error, verb, self._where(key), source)

    def _where(self, key: str) -> str:
        return f"{self.root}/{key}" if key else self.root

    def _clients(self) -> Clients:
        stay_in_one_process(self.root)
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = make(self._location, self._settings)
        return self._made


def _is_key(path: str) -> bool:
    return bool(path) and not path.startswith(".") and "/." not in path


def _joined(parts: Sequence[Buffer]) -> Buffer:
    if len(parts) == 1:
        return flat(parts[0])
    return b"".join(flat(part) for part in parts)


def _pieces(parts: Sequence[Buffer]) -> Iterator[memoryview]:
    for part in parts:
        view = flat(part)
        for begin in range(0, len(view), PART):
            yield view[begin : begin + PART]
