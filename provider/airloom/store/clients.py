"""Clients of the clouds: obstore's, made of settings and credentials.

They run on threads of their own, which do not live on in a forked child: it would wait for
them for ever. So only the process that has used one first may go on using any.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, NamedTuple

from obstore import exceptions as refusals
from obstore.store import AzureStore, GCSStore, S3Store

from airloom.errors import SettingsError, StoreError
from airloom.settings import Settings
from airloom.store.access import Access, granted
from airloom.store.urls import Location

LARGER = 4
"""A part of a large object may take so many times as long as another request."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""How long to wait before a second try, and before any."""

_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
}

_used_in: int | None = None


class Clients(NamedTuple):
    """Clients of one store, and where their credentials come from, in words.

    ``once`` tries nothing a second time: what a create-only request has done must be known.
    ``large`` waits `LARGER` times as long, for parts that share a slow line.
    """

    usual: Any
    once: Any
    large: Any
    source: str


def make(location: Location, settings: Settings) -> Clients:
    """Make the clients of a store; nothing is asked of its server.

    Raises
    ------
    SettingsError
        When something is missing, or not of its form.
    """
    access = granted(location)
    retry: Any = {
        "max_retries": int(settings.store_retries),
        "retry_timeout": timedelta(seconds=int(settings.store_deadline_s)),
        "backoff": {
            "init_backoff": timedelta(seconds=FIRST_PAUSE_S),
            "max_backoff": timedelta(seconds=LONGEST_PAUSE_S),
        },
    }
    timeout = timedelta(seconds=int(settings.store_timeout_s))
    usual = _client(location, settings, access, retry, timeout)
    once = _client(location, settings, access, {**retry, "max_retries": 0}, timeout)
    large = _client(location, settings, access, retry, timeout * LARGER)
    return Clients(usual, once, large, access.source)


def _client(location: Location, settings: Settings, access: Access, retry: Any, timeout: timedelta) -> Any:
    options: Any = dict(access.options)
    endpoint = options.pop("endpoint", "") or _named_by_variables(location)
    endpoint = (settings.store_endpoint or endpoint).rstrip("/")
    keywords: Any = {
        "prefix": location.prefix or None,
        "client_options": {
            "timeout": timeout,
            "connect_timeout": min(timeout, timedelta(seconds=5)),
            # Whoever writes http:// means it.
            "allow_http": endpoint.startswith("http://"),
        },
        "retry_config": retry,
    }
    try:
        if location.cloud == "gs":
            options.update({"base_url": endpoint} if endpoint else {})
            return GCSStore(location.bucket, config=options, **keywords)
        if location.cloud == "az":
            options.update({"endpoint": endpoint} if endpoint else {})
            options.update({"account_name": location.account} if location.account else {})
            return AzureStore(location.bucket, config=options, **keywords)
        if settings.store_region:
            options["region"] = settings.store_region
        if settings.store_addressing == "virtual":
            options["virtual_hosted_style_request"] = True
            endpoint = endpoint.replace("://", f"://{location.bucket}.", 1)
        options.update({"endpoint": endpoint} if endpoint else {})
        if access.credentials is not None:
            keywords["credential_provider"] = access.credentials
        return S3Store(location.bucket, config=options, **keywords)
    except (refusals.BaseError, ValueError, OSError) as error:
        raise _incomplete(error, location.url, access) from None


def _named_by_variables(location: Location) -> str:
    # obstore reads them, too; here it counts whether they allow plain HTTP.
    return next((os.environ[name] for name in _ENDPOINTS[location.cloud] if os.environ.get(name)), "")


def _incomplete(error: BaseException, root: str, access: Access) -> SettingsError:
    if "account" in str(error).lower():
        return SettingsError(
            "the URL names no storage account",
            where=root,
            mend="set AZURE_STORAGE_ACCOUNT_NAME, or write abfss://container@account.dfs.core.windows.net.",
        )
    return SettingsError(
        "the store cannot be opened with the credentials and settings at hand",
        where=root,
        mend=f"look at what is given by {access.source}: a key that is cut off, a file that is not "
        "there? docs/stores.md says what is needed.",
    )


def stay_in_one_process(root: str) -> None:
    """Let this process go on, and be the one that uses remote stores.

    Raises
    ------
    StoreError
        When it is a forked child of one that has used any.
    """
    global _used_in
    here = os.getpid()
    if _used_in is None:
        _used_in = here
    elif _used_in != here:
        raise StoreError(
            "a remote store cannot be used in a forked child of a process that has used one: the threads "
            "that speak with the server have stayed in the parent",
            where=root,
            mend="read and save in the parent, or start the child anew: "
            'multiprocessing.get_context("spawn"), subprocess.',
        )
