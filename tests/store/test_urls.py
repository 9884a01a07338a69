"""URLs of remote stores: what they name, and what stands in none."""

from __future__ import annotations

import pytest

from airloom.errors import SettingsError
from airloom.settings import Settings
from airloom.store.objects import open_objects
from airloom.store.urls import parse


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("S3://bucket/a folder/b/", "s3://bucket/a folder/b"),
        ("s3a://bucket.with.dots/x", "s3://bucket.with.dots/x"),
        ("gcs://bucket_1/x", "gs://bucket_1/x"),
        ("azure://container/x", "az://container/x"),
        ("abfs://container/x", "az://container/x"),
        (
            "abfss://container@account.dfs.core.windows.net/x",
            "abfss://container@account.dfs.core.windows.net/x",
        ),
    ],
)
def test_a_url_has_one_form_that_opens_the_same_store(given: str, url: str) -> None:
    assert parse(given).url == url
    assert parse(url) == parse(given)
    assert open_objects(given, Settings()).root == url


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("ftp://host/x", "no kind of store"),
        ("https://host/x", "no kind of store"),
        ("s3://", "names no bucket"),
        ("s3:///folder", "names no bucket"),
        ("s3://bucket//x", "cannot be a folder"),
        ("s3://bucket/../x", "cannot be a folder"),
        ("gs://bucket/.hidden", "cannot be a folder"),
        ("s3://bucket/x?endpoint=y", "more behind its path"),
        ("s3://bucket/x#y", "more behind its path"),
    ],
)
def test_what_is_no_url_of_a_store_is_refused(url: str, what: str) -> None:
    with pytest.raises(SettingsError, match=what):
        open_objects(url, Settings())


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/x", "az://secret@bucket/x", "s3://b/x?sig=secret"])
def test_a_password_in_a_url_is_refused_and_not_told(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(url)
    assert "secret" not in str(caught.value)
