"""The flow's code on this machine: verified, unpacked once, first on the path, imported by its own name."""

from __future__ import annotations

import importlib
import io
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from airloom.errors import FlowError, Place, VersionSkew
from airloom.flow.spec import FlowSpec
from airloom.plan import Plan
from airloom.store.datastore import Datastore


def load_flow(plan: Plan, datastore: Datastore, cache: Path) -> type[FlowSpec]:
    """Flow class of a plan, from its code package.

    Raises
    ------
    CorruptBlob
        When the package does not match its digest; nothing of it is run then.
    VersionSkew
        When the package does not hold the flow, or a module of it hides an installed package.
    """
    folder = unpack(plan, datastore, cache)
    return import_flow(folder / f"{plan.module}.py", plan.flow)


def unpack(plan: Plan, datastore: Datastore, cache: Path) -> Path:
    """Folder with the code package's files; unpacked once for all tasks of a host."""
    folder = cache / "code" / plan.code.replace(":", "-")
    if folder.is_dir():
        return folder
    archive = datastore.code(plan.code)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            files.extractall(fresh)
        fresh.chmod(0o755)
        try:
            fresh.rename(folder)
        except OSError:
            # Another task of this host was first; its copy has the same digest.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def import_flow(file: Path, name: str | None = None) -> type[FlowSpec]:
    """Import a flow's file under its own name, with its folder first on the path.

    Parameters
    ----------
    file
        The flow's file.
    name
        The flow's class; when not given, the only flow that the file defines.

    Raises
    ------
    FlowError
        When the file cannot be imported, or does not define that one flow.
    VersionSkew
        When a module of the folder has the name of an installed package.
    """
    folder = str(file.resolve().parent)
    _make_room(Path(folder))
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    module = importlib.import_module(file.stem)
    found = {
        value.__name__: value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, FlowSpec) and value.__module__ == file.stem
    }
    if name is None and len(found) == 1:
        (name,) = found
    if name is None or name not in found:
        what = f"defines no flow {name!r}" if name else f"defines {len(found)} flows"
        raise FlowError(
            f"{file.name} {what}",
            where=Place(str(file)),
            mend=f"name one with FILE:CLASS; it defines {', '.join(found) or 'none'}."
            if found
            else "write a class that subclasses FlowSpec.",
        )
    return found[name]


def is_installed(file: str) -> bool:
    """Say whether a module's file belongs to an installed package."""
    return bool({"site-packages", "dist-packages"} & set(Path(file).parts))


def _make_room(folder: Path) -> None:
    """Forget modules of the same names that were loaded from elsewhere, or refuse to."""
    for entry in list(os.scandir(folder)):
        name = entry.name[:-3] if entry.name.endswith(".py") else entry.name
        loaded = sys.modules.get(name)
        if loaded is None or name in sys.stdlib_module_names or name == "__main__":
            continue
        file = getattr(loaded, "__file__", None)
        if file is None or Path(file).resolve().is_relative_to(folder):
            continue
        if entry.is_dir() and not Path(entry.path, "__init__.py").exists():
            continue
        if is_installed(file):
            raise VersionSkew(
                f"the flow's module {name!r} has the name of an installed package that is loaded already",
                where=Place(str(folder / entry.name)),
                mend="rename the flow's module.",
            )
        for module in [other for other in sys.modules if other == name or other.startswith(f"{name}.")]:
            del sys.modules[module]
