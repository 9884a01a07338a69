"""Values of artifacts, also of those whose class lies in the flow's own code.

Such a value pickles by reference to a module of the run's code package. Where that module is
not at hand, or has not the class, the package is unpacked and put on the path for the load.
Each package keeps its own copy of its modules: two runs whose classes changed between them
are both loaded with their own, and a module of the same name that the caller has imported
stays the caller's.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from airloom import settings
from airloom.client.facts import RunFacts
from airloom.errors import ArtifactError
from airloom.runtime.code import unpack
from airloom.store.records import ArtifactRecord

_Modules = dict[str, ModuleType]

_WITHOUT_CLASSES = ("json/", "bytes/")

_lock = threading.RLock()
_by_package: dict[str, _Modules] = {}


def load(
    facts: RunFacts, record: ArtifactRecord, code: str, where: str, fetched: memoryview | None = None
) -> Any:
    """Load a value.

    Parameters
    ----------
    code
        Digest of the code package that the attempt ran; empty for that of the run's plan.
    where
        Pathspec of the artifact, for the errors.
    fetched
        Its stored bytes, where they were read already.

    Raises
    ------
    ArtifactError
        When its class or a package of it is missing, also in the run's code package.
    NotFound
        When its blob, or the code package, is gone.
    CorruptBlob
        When its bytes are not the ones that were saved.
    """
    with _lock:
        if _by_package and not record.serializer.startswith(_WITHOUT_CLASSES):
            _forget_others(code or facts.plan.code)
        try:
            return facts.datastore.load_artifact(record, where, fetched).value
        except ArtifactError as error:
            if not isinstance(error.__cause__, (ImportError, AttributeError)):
                raise
        digest = code or facts.plan.code
        plan = replace(facts.plan, code=digest)
        folder = unpack(plan, facts.datastore, settings.load().cache_folder)
        try:
            with _modules_of(digest, folder):
                return facts.datastore.load_artifact(record, where).value
        except ArtifactError as error:
            raise _still_unloadable(error, folder) from error.__cause__


def _still_unloadable(error: ArtifactError, folder: Path) -> ArtifactError:
    missing = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
    mend = "it needs more than that package holds: use the environment of the run."
    if missing is not None:
        mend = f"install the package of {missing!r}: it is not part of the flow's code."
    return ArtifactError(
        f"{error.what} (also with the run's code package on the path: {folder})", where=error.where, mend=mend
    )


@contextmanager
def _modules_of(digest: str, folder: Path) -> Iterator[None]:
    """Let imports find the package's modules first, and no others of the same names."""
    names = frozenset(_importable(folder))
    callers = _take(names)
    sys.modules.update(_by_package.get(digest, {}))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        ours = _by_package[digest] = _take(names)
        # Ours stay importable where the caller has none, so that what was loaded can be pickled.
        taken = {name.partition(".")[0] for name in callers}
        sys.modules.update({name: ours[name] for name in ours if name.partition(".")[0] not in taken})
        sys.modules.update(callers)


def _importable(folder: Path) -> Iterator[str]:
    for entry in os.scandir(folder):
        name = entry.name.removesuffix(".py")
        if not name.isidentifier() or name in sys.stdlib_module_names or name == "airloom":
            continue
        if not _is_installed(sys.modules.get(name)):
            yield name


def _is_installed(module: ModuleType | None) -> bool:
    # Packages with compiled parts cannot be imported twice in a process.
    parts = Path(getattr(module, "__file__", None) or "").parts
    return bool({"site-packages", "dist-packages"} & set(parts))


def _take(names: frozenset[str]) -> _Modules:
    """Take the modules of these names, and those below them, out of sys.modules."""
    found = [name for name in sys.modules if name.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in found}


def _forget_others(digest: str) -> None:
    """Take the modules of all other packages out of sys.modules; who uses them keeps them."""
    for other, modules in _by_package.items():
        if other == digest:
            continue
        for name, module in modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
