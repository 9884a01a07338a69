"""Metaflow's names for errors catch Airloom's."""

from __future__ import annotations

import pytest

from airloom import errors, exception
from airloom.client import Flow
from airloom.flow.spec import MissingInMergeArtifacts, UnhandledInMergeArtifacts
from airloom.settings import Settings
from airloom.store.datastore import Datastore


def test_every_name_is_one_of_our_errors() -> None:
    assert exception.__all__ == sorted(exception.__all__)
    for name in exception.__all__:
        assert issubclass(getattr(exception, name), Exception)


def test_what_metaflow_users_catch_is_raised() -> None:
    with pytest.raises(exception.MetaflowNotFound):
        Flow("Train", datastore=Datastore.open(Settings(datastore_root="memory://nothing")))
    assert issubclass(errors.NamespaceMismatch, exception.MetaflowNamespaceMismatch)
    assert issubclass(exception.MetaflowNamespaceMismatch, exception.MetaflowException)


def test_errors_of_merges_name_the_artifacts() -> None:
    with pytest.raises(exception.UnhandledInMergeArtifactsException) as unhandled:
        raise UnhandledInMergeArtifacts("Train", ["x"])
    assert unhandled.value.artifact_names == ["x"]
    with pytest.raises(exception.MissingInMergeArtifactsException) as missing:
        raise MissingInMergeArtifacts("Train", ["y"])
    assert missing.value.artifact_names == ["y"]
