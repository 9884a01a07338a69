"""Values to bytes and back: which serializer takes a value, and what its record says of it.

A serializer has a name with a version, which the record of every value keeps:

- ``json/1``: None, bool, int, finite float, str, and small lists and dicts of these;
- ``bytes/1``: bytes, as they are;
- ``arrow/1``: tables of PyArrow;
- ``pickle/2``: all else, by pickle protocol 5, or by cloudpickle where that is needed;
- ``pickle/1``: what earlier versions of Airloom wrote;
- ``celsius/1@my_flow``: a user's own, with the module that registers it.

Bytes that shrink are compressed, by ``pickle/2`` itself each part for itself, else as a whole;
then the record says so.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airloom.digests import digest_of
from airloom.errors import ArtifactError, CorruptBlob, FlowError
from airloom.store import compression, frames, pickles, plain
from airloom.store.objects import flat, total
from airloom.store.previews import class_name, preview, type_name
from airloom.store.records import ArtifactRecord
from airloom.store.unpicklable import explain
from airloom.version import __version__

if TYPE_CHECKING:
    from typing_extensions import Buffer

_CONSTANT = (type(None), bool, int, float, complex, str, bytes)
_NAME = re.compile(r"([a-z][a-z0-9_.-]*)/([1-9][0-9]*)\Z")


class Serializer(Protocol):
    """Values of some types to bytes and back."""

    name: str
    """Name and version, ``celsius/1``; bytes of this name can be read for ever."""

    def dump(self, value: object) -> Sequence[Buffer] | None:
        """Give the value's bytes in C-contiguous parts; None when it cannot keep this value exactly."""

    def load(self, data: memoryview) -> object:
        """Make the value of its bytes; the memory is private, and may become the value's own."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as it is stored."""

    parts: Sequence[Buffer]
    size: int
    type: str
    serializer: str
    compression: str
    preview: str


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A value that was loaded, and what is needed to tell whether it is still the same.

    ``record`` is the record that it was loaded by.
    """

    value: object
    record: ArtifactRecord
    same: Callable[[object], bool]

    def unchanged(self, value: object) -> bool:
        """Say whether a value is what was loaded, and so needs no saving.

        An unsure answer is False. Values that were changed in place are found out.
        """
        if value is self.value and type(value) in _CONSTANT:
            return True
        return self.same(value)


_by_name: dict[str, Serializer] = {}
_by_type: dict[str, tuple[Serializer, str]] = {}
# Of the users' own, each with the names of the module that registered it: a client can hold the
# same module twice, from the code packages of two runs.
_homes: dict[str, list[tuple[dict[str, Any], Serializer]]] = {}
_of_airloom = {"json": 1, "bytes": 1, "arrow": 1, "pickle": 2}
_PICKLES = (pickles.NAME, pickles.OLD)


def register_serializer(serializer: Serializer, *types: type | str) -> None:
    """Let a serializer save the values of exactly these types, and load what it saved.

    Call it where a module is imported that every process of the run imports: the flow's own
    file, or one that it imports. The record of each value names that module, and loading
    imports it, so that values are also found by a client that has not.

    Parameters
    ----------
    serializer
        Where its ``dump`` gives None, the value is saved as if there were no such serializer.
    types
        Classes, or their qualified names where the package need not be imported
        (``"pandas.DataFrame"``). Subclasses are not meant.

    Raises
    ------
    FlowError
        When the name has not the form ``name/version`` or is one of Airloom's own, or a
        serializer of another class has it.
    """
    # The caller's module: what is to be imported so that this call is made.
    home = sys._getframe(1).f_globals  # noqa: SLF001 - as warnings does it
    module = home.get("__name__", "__main__")
    name = serializer.name
    where = f"register_serializer in {module}"
    match = _NAME.match(name)
    if match is None or match[1] in _of_airloom:
        raise FlowError(
            f"{name!r} cannot be the name of a serializer",
            where=where,
            mend="write a name and a version, such as 'celsius/1'; "
            f"{', '.join(_of_airloom)} are Airloom's own.",
        )
    # By the class's name: a module that is imported anew registers anew.
    known = _homes.get(name, [])
    other = known[-1][1] if known else serializer
    if class_name(type(other)) != class_name(type(serializer)):
        raise FlowError(
            f"{class_name(type(other))} and {class_name(type(serializer))} are both called {name!r}",
            where=where,
            mend="give each serializer a name of its own, and each form of its bytes a version.",
        )
    _homes[name] = [*(entry for entry in known if entry[0] is not home), (home, serializer)]
    for cls in types:
        _by_type[cls if isinstance(cls, str) else class_name(cls)] = serializer, f"{name}@{module}"


def _ours(serializer: Serializer, *types: type | str) -> None:
    _by_name[serializer.name] = serializer
    for cls in types:
        _by_type[cls if isinstance(cls, str) else class_name(cls)] = serializer, serializer.name


_ours(plain.JsonSerializer(), type(None), bool, int, float, str, list, dict)
_ours(plain.BytesSerializer(), bytes)
_ours(frames.ArrowSerializer(), *frames.TYPES)


def encode(name: str, value: object) -> Encoded:
    """Turn a value into bytes.

    Parameters
    ----------
    name
        The artifact's name, for the error.

    Raises
    ------
    ArtifactError
        When the value, or something in it, cannot be saved.
    """
    kind = type_name(value)
    serializer, recorded = _by_type.get(kind, (None, ""))
    parts = None if serializer is None else _dumped(serializer, name, value, kind)
    if parts is None:
        try:
            parts = pickles.dump(value)
        except MemoryError:
            raise
        except Exception as error:
            raise explain(name, value, error, pickles.pickled) from error
        return Encoded(parts, total(parts), kind, pickles.NAME, "", preview(value))
    size = total(parts)
    smaller = compression.compressed(parts) if size >= compression.SMALLEST else None
    if smaller is not None:
        form, parts = smaller
        return Encoded(parts, total(parts), kind, recorded, form, preview(value))
    return Encoded(parts, size, kind, recorded, "", preview(value))


def _dumped(serializer: Serializer, name: str, value: object, kind: str) -> Sequence[Buffer] | None:
    try:
        parts = serializer.dump(value)
        return None if parts is None else [_bytes_of(part) for part in parts]
    except MemoryError:
        raise
    except Exception as error:
        raise ArtifactError(
            f"self.{name} of type {kind} cannot be saved by the serializer {serializer.name!r}: "
            f"{type(error).__name__}: {error}",
            where=f"self.{name}",
            mend="mend its dump, or let it give None: then the value is pickled.",
        ) from error


def _bytes_of(part: Buffer) -> Buffer:
    if isinstance(part, bytes):
        return part
    if not memoryview(part).c_contiguous:
        raise BufferError("a part of its bytes is not C-contiguous")
    return flat(part)


def decode(record: ArtifactRecord, fetch: Callable[[], memoryview], where: str) -> Loaded:
    """Turn bytes back into the value.

    Parameters
    ----------
    record
        How the value was saved.
    fetch
        Reads the stored bytes, verified, into private memory.
    where
        Pathspec, for the error.

    Raises
    ------
    ArtifactError
        When the value's class or a package of it is missing, or its own code fails; when a
        newer version of Airloom saved it, or a serializer that is not known here.
    CorruptBlob
        When the bytes have not the serializer's form.
    """
    if record.serializer in _PICKLES:
        return _unpickled(record, fetch, where)
    serializer = _by_name.get(record.serializer) or _found(record, where)
    data = _plain(record, fetch)
    # Before the value's own code can change the memory. The record has it, unless the bytes were compressed.
    before = digest_of([data]) if record.compression else record.digest
    try:
        value = serializer.load(data)
    except (MemoryError, CorruptBlob):
        raise
    except Exception as error:
        raise _unloadable(record, where, error) from error

    def same(other: object) -> bool:
        if _by_type.get(type_name(other), (None, ""))[0] is not serializer:
            return False
        try:
            again = serializer.dump(other)
        except MemoryError:
            raise
        except Exception:
            return False
        return again is not None and digest_of(map(_bytes_of, again)) == before

    return Loaded(value, record, same)


def _unpickled(record: ArtifactRecord, fetch: Callable[[], memoryview], where: str) -> Loaded:
    digest = None if record.compression else record.digest
    data = _plain(record, fetch)
    try:
        value, same = pickles.load(record.serializer, data, digest, lambda: _plain(record, fetch))
    except (MemoryError, CorruptBlob, ArtifactError):
        raise
    except Exception as error:
        raise _unloadable(record, where, error) from error
    return Loaded(value, record, same)


def _plain(record: ArtifactRecord, fetch: Callable[[], memoryview]) -> memoryview:
    return compression.decompressed(record.compression, fetch()) if record.compression else fetch()


def _found(record: ArtifactRecord, where: str) -> Serializer:
    """The user's own serializer, after importing the module that registers it."""
    name, _, module = record.serializer.partition("@")
    if not module:
        match = _NAME.match(name)
        known = _of_airloom.get(match[1] if match else "", 0)
        newer = match is not None and int(match[2]) > known > 0
        raise ArtifactError(
            f"the value was saved by the serializer {name!r}, which this version of Airloom ({__version__}) "
            "does not know",
            where=where,
            mend=f"it was written by a newer Airloom{'' if newer else ', or its record was changed'}: "
            "use the version that the run's record names, or a later one.",
        )
    found = _registered(name, module)
    if found is None:
        try:
            importlib.import_module(module)
        except MemoryError:
            raise
        except Exception as error:
            raise _unloadable(record, where, error) from error
        found = _registered(name, module)
    if found is None:
        raise ArtifactError(
            f"the value was saved by the serializer {name!r}, which is not registered here",
            where=where,
            mend=f"let the module {module!r} register it when it is imported, as it did in the run.",
        )
    return found


def _registered(name: str, module: str) -> Serializer | None:
    """What this very module registered, or one of another name; not another copy of it."""
    entries = _homes.get(name, [])
    home = getattr(sys.modules.get(module), "__dict__", None)
    ours = [one for where, one in entries if where is home]
    others = [one for where, one in entries if where.get("__name__") != module]
    return (others + ours)[-1] if ours or others else None


def _unloadable(record: ArtifactRecord, where: str, error: Exception) -> ArtifactError:
    if isinstance(error, ModuleNotFoundError):
        mend = f"install the package of {error.name!r}, or put the run's code package on sys.path."
    elif isinstance(error, (ImportError, AttributeError)):
        mend = "use the code that saved it: the class or function is not where it was."
    else:
        mend = "use the code and the packages of the run that saved it."
    what = f"the value of type {record.type} cannot be loaded: {type(error).__name__}: {error}"
    return ArtifactError(what, where=where, mend=mend)
