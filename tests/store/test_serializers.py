"""Values come back as they were, changes are found out, and refusals say what to do."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from airloom.errors import ArtifactError, CorruptBlob, NotFound
from airloom.store import artifacts, serializers
from airloom.store.blobs import Blobs
from airloom.store.records import ArtifactRecord
from airloom.store.serializers import Loaded, encode

thorough = settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.datetimes()
    | st.uuids()
)
keys = st.text(max_size=5) | st.integers() | st.booleans() | st.tuples(st.integers())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=5)
        | st.frozensets(st.integers() | st.text(), max_size=5)
        | st.sets(st.integers(), max_size=5)
    ),
    max_leaves=20,
)
dtypes = (
    npst.boolean_dtypes()
    | npst.integer_dtypes(endianness="?")
    | npst.floating_dtypes(endianness="?")
    | npst.complex_number_dtypes()
    | npst.datetime64_dtypes()
    | npst.timedelta64_dtypes()
    | npst.byte_string_dtypes()
    | npst.unicode_string_dtypes()
    | npst.array_dtypes(npst.integer_dtypes() | npst.floating_dtypes())
)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Text(str):
    __slots__ = ()


@dataclass
class Model:
    name: str
    weights: list[float] = field(default_factory=list)
    parent: Model | None = None


Point = namedtuple("Point", "x y")


def alike(one: object, other: object) -> bool:
    """Say whether two values are equal, of the same types, all the way down; nan is nan."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, complex):
        return repr(one) == repr(other)
    if isinstance(one, (list, tuple)):
        assert isinstance(other, (list, tuple))
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        assert isinstance(other, dict)
        return alike(list(one), list(other)) and alike(list(one.values()), list(other.values()))
    return one == other


def save(blobs: Blobs, value: object) -> ArtifactRecord:
    return artifacts.save(blobs, {"x": value})["x"]


def trip(blobs: Blobs, value: object) -> Loaded:
    return artifacts.load(blobs, save(blobs, value), "F/1/s/0/x")


class TestRoundTrips:
    @thorough
    @given(value=values)
    def test_a_value_comes_back_as_it_was(self, blobs: Blobs, value: object) -> None:
        loaded = trip(blobs, value)
        assert alike(loaded.value, value)
        assert loaded.unchanged(loaded.value)

    @thorough
    @given(data=st.data(), dtype=dtypes, order=st.sampled_from("CFKv"))
    def test_an_array_comes_back_as_it_was(
        self, blobs: Blobs, data: st.DataObject, dtype: np.dtype[Any], order: str
    ) -> None:
        array: NDArray[Any] = data.draw(
            npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0, max_side=9))
        )
        if order == "v":
            array = array[::2] if array.ndim else array
        else:
            array = np.array(array, order=order)  # type: ignore[call-overload]
        array = data.draw(st.sampled_from([array, np.tile(array, (300, 20))]))
        loaded = trip(blobs, array)
        assert isinstance(loaded.value, np.ndarray)
        # numpy itself gives arrays that are not contiguous, and times, the machine's byte order.
        native = array.dtype.newbyteorder("=")
        assert loaded.value.dtype.newbyteorder("=") == native
        assert loaded.value.shape == array.shape
        assert loaded.value.astype(native).tobytes() == array.astype(native).tobytes()
        assert loaded.value.flags.writeable
        assert loaded.unchanged(loaded.value)

    @settings(thorough, max_examples=30)
    @given(
        value=st.recursive(
            st.integers() | npst.arrays(np.float64, 2000), lambda x: st.lists(x) | st.tuples(x, x)
        )
    )
    def test_arrays_in_containers_come_back_as_they_were(self, blobs: Blobs, value: object) -> None:
        np.testing.assert_equal(trip(blobs, value).value, value)

    @pytest.mark.parametrize(
        "value",
        [
            Colour.RED,
            Text("text"),
            Model("m", [1.5], Model("p")),
            Point(1, 2),
            OrderedDict(a=1),
            defaultdict(list, {"a": [1]}),
            Counter("abca"),
            deque([1, 2], maxlen=3),
            range(10),
            10**4000,
            -(2**63) - 1,
            "\ud83d\ude00",
            bytearray(b"air"),
            dt.datetime.now(dt.timezone.utc),
            decimal.Decimal("1.10"),
            Path("/a/b"),
            ValueError("wrong", 3),
            np.float64(1.5),
            np.datetime64("2026-01-01"),
            {"a": (1, 2), 3: {None: True}},
            "x" * 1_000_000,
            b"x" * 1_000_000,
            Model,
            math.sqrt,
        ],
        ids=lambda value: f"{type(value).__name__}",
    )
    def test_many_kinds_of_values_come_back_as_they_were(self, blobs: Blobs, value: object) -> None:
        loaded = trip(blobs, value)
        assert type(loaded.value) is type(value)
        assert repr(loaded.value) == repr(value)
        assert loaded.unchanged(loaded.value)

    def test_one_list_twice_stays_one_list(self, blobs: Blobs) -> None:
        inner: list[int] = []
        value = trip(blobs, [inner, inner]).value
        assert isinstance(value, list)
        assert value[0] is value[1]

    def test_a_list_in_itself_comes_back(self, blobs: Blobs) -> None:
        loop: list[object] = []
        loop.append(loop)
        value = trip(blobs, loop).value
        assert isinstance(value, list)
        assert value[0] is value

    @pytest.mark.parametrize("rows", [0, 5, 200_000])
    def test_a_frame_comes_back_as_it_was(self, blobs: Blobs, rows: int) -> None:
        rng = np.random.default_rng(1)
        frame = pd.DataFrame(
            {
                "number": rng.random(rows),
                "whole": np.arange(rows),
                "text": [f"name {number}" for number in range(rows)],
                "time": pd.date_range("2026-01-01", periods=rows, freq="s", tz="UTC"),
                "kind": pd.Categorical(["a", "b"] * (rows // 2) + ["a"] * (rows % 2)),
            }
        )
        loaded = trip(blobs, frame)
        pd.testing.assert_frame_equal(loaded.value, frame)
        assert loaded.unchanged(loaded.value)

    def test_a_frame_with_missing_values_comes_back_as_it_was(self, blobs: Blobs) -> None:
        frame = pd.DataFrame({"maybe": pd.array([1, None] * 100_000, dtype="Int64")})
        pd.testing.assert_frame_equal(trip(blobs, frame).value, frame)

    def test_a_read_only_array_stays_read_only(self, blobs: Blobs) -> None:
        array = np.random.default_rng(1).random(100_000)
        array.flags.writeable = False
        value = trip(blobs, array).value
        assert isinstance(value, np.ndarray)
        assert not value.flags.writeable

    def test_a_large_array_is_the_map_itself(self, blobs: Blobs) -> None:
        value = trip(blobs, np.random.default_rng(1).random(1_000_000)).value
        assert isinstance(value, np.ndarray)
        assert not value.flags.owndata
        assert value.ctypes.data % 64 == 0

    def test_functions_come_back_with_what_they_use(self, blobs: Blobs) -> None:
        factor = 3
        value = trip(blobs, {"f": lambda x: math.floor(x * factor)}).value
        assert isinstance(value, dict)
        assert value["f"](1.5) == 4

    def test_a_local_class_comes_back(self, blobs: Blobs) -> None:
        class Local:
            def __init__(self) -> None:
                self.x = 1

        value: Any = trip(blobs, Local()).value
        assert value.x == 1


class TestWhereThingsAreDefined:
    def test_what_main_defines_can_be_loaded_elsewhere(self, tmp_path: Path, blobs: Blobs) -> None:
        script = (
            "import sys\n"
            "from pathlib import Path\n"
            "from airloom.codec import dumps\n"
            "from airloom.store import artifacts\n"
            "from airloom.store.blobs import Blobs\n"
            "from airloom.store.local import LocalObjects\n"
            "class Mine:\n"
            "    def double(self): return helper(self.x)\n"
            "def helper(x): return 2 * x\n"
            "mine = Mine(); mine.x = 21\n"
            f"blobs = Blobs(LocalObjects(Path({str(tmp_path / 'store')!r})))\n"
            "sys.stdout.buffer.write(dumps(artifacts.save(blobs, {'x': [mine]})['x']))\n"
        )
        out = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True).stdout
        from airloom.codec import loads

        value: Any = artifacts.load(blobs, loads(ArtifactRecord, out), "F/1/s/0/x").value
        assert value[0].double() == 42

    def test_what_a_module_defines_is_saved_by_its_name(
        self, tmp_path: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "some_flow.py").write_text("class Model:\n    def version(self): return 1\n")
        monkeypatch.syspath_prepend(tmp_path)
        import some_flow  # type: ignore[import-not-found]

        record = save(blobs, {"model": some_flow.Model()})
        monkeypatch.setattr(some_flow.Model, "version", lambda self: 2)
        value: Any = artifacts.load(blobs, record, "F/1/s/0/x").value
        assert type(value["model"]) is some_flow.Model
        assert value["model"].version() == 2

    def test_a_missing_module_is_named(
        self, tmp_path: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "gone_flow.py").write_text("class Model: pass\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path)
            import gone_flow  # type: ignore[import-not-found]

            record = save(blobs, gone_flow.Model())
        monkeypatch.delitem(sys.modules, "gone_flow")
        with pytest.raises(ArtifactError, match="No module named 'gone_flow'") as caught:
            artifacts.load(blobs, record, "F/1/s/0/x")
        assert caught.value.where == "F/1/s/0/x"
        assert "code package" in caught.value.mend


class TestChanges:
    LARGE = 1_000_000

    def array(self) -> NDArray[np.float64]:
        return np.random.default_rng(1).random(self.LARGE)

    def test_an_array_that_was_read_is_unchanged(self, blobs: Blobs) -> None:
        loaded = trip(blobs, self.array())
        assert isinstance(loaded.value, np.ndarray)
        assert loaded.value.sum() > 0
        assert loaded.unchanged(loaded.value)

    @pytest.mark.parametrize("index", [0, 1, 499_999, -1])
    def test_an_array_that_was_written_to_is_changed(self, blobs: Blobs, index: int) -> None:
        loaded = trip(blobs, self.array())
        assert isinstance(loaded.value, np.ndarray)
        loaded.value[index] += 1
        assert not loaded.unchanged(loaded.value)

    def test_what_another_reader_wrote_changes_nothing_here(self, blobs: Blobs) -> None:
        record = save(blobs, self.array())
        first, second = (artifacts.load(blobs, record, "F/1/s/0/x") for _ in range(2))
        assert isinstance(first.value, np.ndarray)
        first.value[:] = 0
        assert second.unchanged(second.value)
        np.testing.assert_array_equal(second.value, self.array())

    def test_changes_are_found_where_the_system_does_not_tell(
        self, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airloom.store.pages._PAGEMAP", "/nonexistent")
        loaded = trip(blobs, self.array())
        assert isinstance(loaded.value, np.ndarray)
        assert loaded.unchanged(loaded.value)
        loaded.value[5] += 1
        assert not loaded.unchanged(loaded.value)

    @pytest.mark.parametrize("value", [np.arange(10.0), np.arange(1_000_000.0), np.arange(3000.0)])
    def test_changes_of_small_and_compressed_arrays_are_found(
        self, blobs: Blobs, value: NDArray[np.float64]
    ) -> None:
        loaded = trip(blobs, value)
        assert isinstance(loaded.value, np.ndarray)
        assert loaded.unchanged(loaded.value)
        loaded.value[-1] += 1
        assert not loaded.unchanged(loaded.value)

    def test_another_view_of_the_same_memory_is_changed(self, blobs: Blobs) -> None:
        loaded = trip(blobs, self.array())
        assert isinstance(loaded.value, np.ndarray)
        assert not loaded.unchanged(loaded.value[:-1])
        assert not loaded.unchanged(loaded.value.reshape(1000, -1))
        assert not loaded.unchanged(loaded.value.view(np.int64))
        assert not loaded.unchanged(loaded.value[::-1])

    @pytest.mark.parametrize(
        ("value", "change"),
        [
            ([1, 2], lambda value: value.append(3)),
            ({"a": 1}, lambda value: value.update(b=2)),
            ({"a": {"b": [1]}}, lambda value: value["a"]["b"].append(2)),
            ([1, True], lambda value: value.__setitem__(1, 1)),
            ([(1, 2)], lambda value: value.__setitem__(0, [1, 2])),
            ({1, 2}, lambda value: value.add(3)),
            (bytearray(b"abc"), lambda value: value.__setitem__(0, 0)),
            (Model("m", [1.0]), lambda value: value.weights.append(2.0)),
            (Model("m", parent=Model("p")), lambda value: setattr(value.parent, "name", "q")),
            (pd.DataFrame({"a": [1, 2]}), lambda value: value.__setitem__("b", [3, 4])),
            (pd.DataFrame({"a": np.random.rand(100_000)}), lambda value: value.iloc.__setitem__((5, 0), 7)),
            ({"a": np.arange(5)}, lambda value: value["a"].__setitem__(0, 9)),
        ],
    )
    def test_a_value_is_changed_only_once_it_was(
        self, blobs: Blobs, value: object, change: Callable[[Any], None]
    ) -> None:
        loaded = trip(blobs, value)
        assert loaded.unchanged(loaded.value)
        change(loaded.value)
        assert not loaded.unchanged(loaded.value)

    @pytest.mark.parametrize(
        ("before", "after"), [(1, 1.0), (1, True), ([1], (1,)), ("1", b"1"), (0.0, -0.0)]
    )
    def test_an_equal_value_of_another_type_is_changed(
        self, blobs: Blobs, before: object, after: object
    ) -> None:
        assert not trip(blobs, before).unchanged(after)

    @pytest.mark.parametrize("value", [1, "text", [1, 2], (1, 2), {"a": {1: 2}}, None, 1.5])
    def test_an_equal_value_is_unchanged(self, blobs: Blobs, value: object) -> None:
        assert trip(blobs, value).unchanged(trip(blobs, value).value)

    def test_equal_texts_that_were_not_one_object_are_unchanged(self, blobs: Blobs) -> None:
        value = [Model("m"), {"".join(("na", "me")): 1}, {"".join(("nam", "e")): (1,)}]
        loaded = trip(blobs, value)
        assert loaded.unchanged(loaded.value)

    def test_a_value_that_cannot_be_saved_is_changed(self, blobs: Blobs) -> None:
        loaded = trip(blobs, [(1, 2)])
        assert not loaded.unchanged([threading.Lock()])


class TestCompression:
    def test_what_shrinks_is_compressed(self) -> None:
        encoded = encode("x", np.zeros(1_000_000))
        assert encoded.serializer == "pickle/2"
        assert encoded.size < 100_000
        assert encode("x", b"air" * 10_000).compression == "zstd"
        assert encode("x", b"air" * 1_000_000).compression == "zstd-frames"

    def test_what_does_not_shrink_is_stored_as_it_is(self) -> None:
        encoded = encode("x", np.random.default_rng(1).random(1_000_000))
        assert encoded.compression == ""

    def test_small_values_are_not_tried(self) -> None:
        assert encode("x", "x" * 4000).compression == ""
        assert encode("x", "x" * 5000).compression == "zstd"

    def test_a_large_array_is_not_copied(self) -> None:
        array = np.random.default_rng(1).random(1_000_000)
        view = memoryview(encode("x", array).parts[-1])
        assert np.shares_memory(np.asarray(view), array)


class TestRegistry:
    def test_a_registered_type_has_its_own_form(self, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
        class Celsius:
            def __init__(self, degrees: int) -> None:
                self.degrees = degrees

        class CelsiusSerializer:
            name = "celsius/1"

            def dump(self, value: object) -> list[bytes] | None:
                assert isinstance(value, Celsius)
                return [str(value.degrees).encode()]

            def load(self, data: memoryview) -> object:
                return Celsius(int(bytes(data)))

        monkeypatch.setattr(serializers, "_homes", {})
        monkeypatch.setattr(serializers, "_by_type", dict(serializers._by_type))
        serializers.register_serializer(CelsiusSerializer(), Celsius)
        record = save(blobs, Celsius(21))
        loaded = artifacts.load(blobs, record, "F/1/s/0/x")
        assert (record.serializer, record.size) == (f"celsius/1@{__name__}", 2)
        assert isinstance(loaded.value, Celsius)
        assert loaded.unchanged(loaded.value)
        loaded.value.degrees = 5
        assert not loaded.unchanged(loaded.value)


class TestCorruption:
    @pytest.mark.parametrize(
        "value",
        [
            7,
            [1, 2, 3],
            (1, "two"),
            np.arange(100_000),
            np.random.default_rng(1).random(50_000),
            "text" * 5000,
        ],
        ids=["int", "list", "tuple", "compressed", "mapped", "text"],
    )
    def test_every_changed_byte_is_found(self, blobs: Blobs, root: Path, value: object) -> None:
        record = save(blobs, value)
        (path,) = (root / "blobs").glob("*/*")
        data = bytearray(path.read_bytes())
        for at in sorted({*range(0, len(data), max(1, len(data) // 60)), len(data) - 1}):
            data[at] ^= 1
            path.write_bytes(data)
            with pytest.raises(CorruptBlob, match="F/1/s/0/x"):
                artifacts.load(blobs, record, "F/1/s/0/x")
            data[at] ^= 1
        path.write_bytes(data)
        artifacts.load(blobs, record, "F/1/s/0/x")

    def test_a_byte_of_one_value_is_not_the_other_s_concern(self, blobs: Blobs, root: Path) -> None:
        records = artifacts.save(blobs, {"a": "first", "b": "second"})
        (path,) = (root / "blobs").glob("*/*")
        path.write_bytes(path.read_bytes().replace(b"second", b"secund"))
        assert artifacts.load(blobs, records["a"], "F/1/s/0/a").value == "first"
        with pytest.raises(CorruptBlob, match="F/1/s/0/b"):
            artifacts.load(blobs, records["b"], "F/1/s/0/b")

    def test_a_missing_blob_names_the_artifact(self, blobs: Blobs, root: Path) -> None:
        record = save(blobs, 7)
        next((root / "blobs").glob("*/*")).unlink()
        with pytest.raises(NotFound, match="F/1/s/0/x"):
            artifacts.load(blobs, record, "F/1/s/0/x")
