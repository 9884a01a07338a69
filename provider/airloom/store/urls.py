"""URLs of remote stores: which cloud, which bucket, and the folder in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from airloom.errors import SettingsError, StoreError
from airloom.settings import variable
from airloom.store.objects import check_key

Cloud = Literal["s3", "gs", "az"]

_CLOUDS: dict[str, Cloud] = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "azure": "az",
    "abfs": "az",
    "abfss": "az",
}
_ACCOUNT = re.compile(r"(?P<container>[a-z0-9$-]+)@(?P<account>[a-z0-9]+)\.[a-z0-9.]+\Z")
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]*\Z")

WANTED = "s3://bucket/folder, gs://bucket/folder, az://container/folder"


@dataclass(frozen=True, slots=True)
class Location:
    """A folder in a bucket; ``account`` is the Azure storage account where the URL names it."""

    cloud: Cloud
    bucket: str
    prefix: str = ""
    account: str = ""

    @property
    def url(self) -> str:
        """The URL in its one form, by which the same store is opened again.

        >>> parse("s3a://bucket/folder/").url
        's3://bucket/folder'
        """
        host = f"{self.bucket}@{self.account}.dfs.core.windows.net" if self.account else self.bucket
        scheme = "abfss" if self.account else self.cloud
        return f"{scheme}://{host}/{self.prefix}" if self.prefix else f"{scheme}://{host}"


def parse(url: str) -> Location:
    """Read the URL of a remote store.

    Raises
    ------
    SettingsError
        When it is of an unknown kind, names no bucket, or holds what belongs elsewhere.
    """
    scheme, _, rest = url.partition("://")
    cloud = _CLOUDS.get(scheme.lower())
    if cloud is None:
        raise _refused(f"{scheme}:// is no kind of store", f"write a folder or one of {WANTED}.")
    host, _, path = rest.partition("/")
    # What stands before an @ may be a password: it must not be told again.
    account = ""
    if "@" in host:
        match = _ACCOUNT.match(host) if cloud == "az" else None
        if match is None:
            raise _refused(
                f"the {scheme}:// URL has a user or a password in it",
                "write the URL without, and give credentials as docs/stores.md says.",
            )
        host, account = match["container"], match["account"]
    if "?" in rest or "#" in rest:
        raise _refused(
            f"the {scheme}:// URL has more behind its path, after a ? or #",
            "write only the bucket and the folder; the rest are settings, see docs/stores.md.",
        )
    if not _BUCKET.match(host):
        raise _refused(f"{url!r} names no bucket that can be", f"write one of {WANTED}.")
    prefix = path.rstrip("/")
    if prefix:
        try:
            check_key(prefix)
        except StoreError:
            raise _refused(
                f"{prefix!r} cannot be a folder of a bucket",
                "write names without a dot in front, with single slashes between them.",
            ) from None
    return Location(cloud, host, prefix, account)


def _refused(what: str, mend: str) -> SettingsError:
    return SettingsError(what, where=variable("datastore_root"), mend=mend)
