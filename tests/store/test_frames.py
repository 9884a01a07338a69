"""Tables and frames come back equal, whatever they hold, by Arrow or by pickle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airloom.errors import ArtifactError
from airloom.store import artifacts, strings
from airloom.store.blobs import Blobs
from airloom.store.serializers import Loaded

pa = pytest.importorskip("pyarrow", reason="PyArrow is not installed")


def trip(blobs: Blobs, value: object) -> Loaded:
    return artifacts.load(blobs, artifacts.save(blobs, {"x": value})["x"], "F/1/s/0/x")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short columns are laid out as Arrow does it, too."""
    monkeypatch.setattr(strings, "_FEWEST", 1)


ROWS = 300
TABLES = {
    "numbers": {"a": np.arange(ROWS), "b": [1.5, None, float("nan")] * 100},
    "texts": {"a": [f"name {n}" for n in range(ROWS)], "b": ["é", None, ""] * 100},
    "nested": {"a": [[1, None], None, []] * 100, "b": [{"x": 1, "y": "z"}, None, {"x": 2, "y": None}] * 100},
    "codes": {"a": pa.array(["x", "y", None] * 100).dictionary_encode()},
    "times": {"a": pa.array([1, 2, None] * 100, type=pa.timestamp("us", tz="Europe/Berlin"))},
    "nothing": {"a": pa.nulls(ROWS)},
}


class TestTables:
    @pytest.mark.parametrize("columns", TABLES.values(), ids=TABLES)
    @pytest.mark.parametrize("cut", [(0, ROWS), (7, 20), (0, 0)], ids=str)
    def test_a_table_comes_back_as_it_was(
        self, blobs: Blobs, columns: dict[str, Any], cut: tuple[int, int]
    ) -> None:
        table = pa.table(columns).replace_schema_metadata({"k": "v"}).slice(*cut)
        loaded = trip(blobs, table)
        assert type(loaded.value) is pa.Table
        assert loaded.record.serializer == "arrow/1"
        loaded.value.validate(full=True)
        assert loaded.value.schema.equals(table.schema, check_metadata=True)
        # Not by equals(): there, nan is not nan.
        assert repr(loaded.value.to_pylist()) == repr(table.to_pylist())
        assert loaded.unchanged(loaded.value)
        assert not loaded.unchanged(pa.table({"other": [1]}))

    def test_a_record_batch_comes_back_as_one(self, blobs: Blobs) -> None:
        (batch,) = pa.table(TABLES["nested"]).to_batches()
        loaded = trip(blobs, batch)
        assert type(loaded.value) is pa.RecordBatch
        assert loaded.value.equals(batch)
        assert loaded.unchanged(loaded.value)

    def test_a_table_of_several_chunks_comes_back(self, blobs: Blobs) -> None:
        one = pa.table({"a": pa.array(["x", "y"]).dictionary_encode()})
        two = pa.table({"a": pa.array(["z", "x"]).dictionary_encode()})
        table = pa.concat_tables([one, two])
        value: Any = trip(blobs, table).value
        assert value.to_pylist() == table.to_pylist()

    def test_of_a_slice_only_its_rows_are_kept(self, blobs: Blobs) -> None:
        table = pa.table({"a": np.random.default_rng(1).random(100_000)})
        assert artifacts.save(blobs, {"x": table.slice(5, 10)})["x"].size < 2000

    def test_a_table_is_the_map_itself(self, blobs: Blobs) -> None:
        table = pa.table({"a": np.random.default_rng(1).random(100_000)})
        before = pa.total_allocated_bytes()
        value: Any = trip(blobs, table).value
        assert value.equals(table)
        assert pa.total_allocated_bytes() - before < 100_000

    @pytest.mark.parametrize("rows", [0, 5])
    def test_a_table_without_columns_keeps_its_rows(self, blobs: Blobs, rows: int) -> None:
        table = pa.table({"a": list(range(rows))}).select([])
        value: Any = trip(blobs, table).value
        assert (value.num_rows, value.num_columns) == (table.num_rows, 0)

    def test_a_type_that_python_defines_comes_back(self, blobs: Blobs) -> None:
        storage = pa.array([b"x" * 16] * 3, pa.binary(16))
        column = pa.ExtensionArray.from_storage(pa.uuid(), storage)
        table = pa.table({"a": pa.StructArray.from_arrays([column], ["inner"])})
        loaded = trip(blobs, table)
        assert loaded.record.serializer == "pickle/2"
        assert isinstance(loaded.value, pa.Table)
        assert loaded.value.schema == table.schema


objects = st.lists(st.none() | st.text(max_size=6), min_size=1, max_size=40)


class TestTexts:
    @settings(max_examples=50, suppress_health_check=list(HealthCheck), deadline=None)
    @given(items=objects)
    @pytest.mark.usefixtures("few")
    def test_an_array_of_texts_comes_back_as_it_was(self, blobs: Blobs, items: list[str | None]) -> None:
        array = np.array(items, dtype=object)
        loaded = trip(blobs, array)
        assert isinstance(loaded.value, np.ndarray)
        assert loaded.value.dtype == array.dtype
        assert loaded.value.tolist() == items
        assert loaded.value.flags.writeable
        assert loaded.unchanged(loaded.value)
        loaded.value[0] = "another text"
        assert not loaded.unchanged(loaded.value)

    @pytest.mark.usefixtures("few")
    @pytest.mark.parametrize(
        "odd",
        [1, 1.5, float("nan"), b"bytes", ["list"], np.str_("text"), pd.NA, pd.NaT, "\ud83d", True],
        ids=repr,
    )
    def test_what_is_no_plain_text_is_left_to_pickle(self, blobs: Blobs, odd: object) -> None:
        items = np.empty(40, dtype=object)
        items[:] = [f"text {number}" for number in range(39)] + [None]
        items[7] = odd
        value: Any = trip(blobs, items).value
        assert type(value[7]) is type(odd)
        assert repr(value.tolist()) == repr(items.tolist())

    @pytest.mark.usefixtures("few")
    @pytest.mark.parametrize("form", ["C", "F", "cut", "turned", "flat"])
    def test_arrays_of_any_layout_come_back(self, blobs: Blobs, form: str) -> None:
        array: Any = np.array([f"text {number}" for number in range(120)], dtype=object).reshape(4, 30)
        array = {
            "C": array,
            "F": np.asfortranarray(array),
            "cut": array[::2, 3:],
            "turned": array.T,
            "flat": array[0, 0:0],
        }[form]
        value: Any = trip(blobs, array).value
        assert value.shape == array.shape
        assert value.tolist() == array.tolist()

    def test_one_text_many_times_stays_one_object(self, blobs: Blobs) -> None:
        array = np.array(["one", "two"] * 20_000, dtype=object)
        loaded = trip(blobs, array)
        assert isinstance(loaded.value, np.ndarray)
        assert len(set(map(id, loaded.value.tolist()))) == 2

    def test_long_columns_are_laid_out_as_arrow_does_it(self, blobs: Blobs, root: Path) -> None:
        frame = pd.DataFrame({"a": pd.Series([f"name {n}" for n in range(20_000)], dtype=object)})
        loaded = trip(blobs, frame)
        pd.testing.assert_frame_equal(loaded.value, frame)
        saved = b"".join(path.read_bytes() for path in (root / "blobs").glob("*/*"))
        assert b"airloom.store.strings" in saved

    @pytest.mark.usefixtures("few")
    def test_texts_are_read_where_arrow_is_not(self, tmp_path: Path, blobs: Blobs, root: Path) -> None:
        from airloom.codec import dumps

        items = ["é", None, "", "text", None, "x" * 100, *map(str, range(10))]
        record = artifacts.save(blobs, {"x": np.array(items, dtype=object)})["x"]
        script = (
            "import sys\nsys.modules['pyarrow'] = None\n"
            "from pathlib import Path\n"
            "from airloom.codec import loads\n"
            "from airloom.store import artifacts\n"
            "from airloom.store.blobs import Blobs\n"
            "from airloom.store.local import LocalObjects\n"
            "from airloom.store.records import ArtifactRecord\n"
            "record = loads(ArtifactRecord, sys.stdin.buffer.read())\n"
            f"blobs = Blobs(LocalObjects(Path({str(root)!r})))\n"
            "print(ascii(artifacts.load(blobs, record, 'x').value.tolist()))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], input=dumps(record), stdout=subprocess.PIPE, check=True
        )
        assert done.stdout.decode().strip() == ascii(items)


kinds = st.sampled_from(
    [
        "int",
        "float",
        "bool",
        "object",
        "mixed",
        "category",
        "time",
        "zone",
        "span",
        "Int64",
        "string",
        "bytes",
    ]
)
labels = st.sampled_from(["range", "text", "ints", "multi", "dates"])


def column(kind: str, rows: int) -> Any:
    numbers = range(rows)
    if kind in ("int", "float", "bool"):
        return np.arange(rows).astype(kind)
    if kind == "object":
        return pd.Series([f"text {n}" if n % 3 else None for n in numbers], dtype=object)
    if kind == "mixed":
        return pd.Series([n if n % 2 else str(n) for n in numbers], dtype=object)
    if kind == "category":
        return pd.Categorical(["b", "a", "b"] * rows, categories=["c", "b", "a"], ordered=True)[:rows]
    if kind == "time":
        return pd.date_range("2026-01-01", periods=rows, freq="h")
    if kind == "zone":
        return pd.date_range("2026-01-01", periods=rows, freq="h", tz="Europe/Berlin")
    if kind == "span":
        return pd.to_timedelta(np.arange(rows), unit="s")
    if kind == "Int64":
        return pd.array([n if n % 2 else None for n in numbers], dtype="Int64")
    if kind == "string":
        return pd.array([f"text {n}" if n % 2 else None for n in numbers], dtype="string")
    return pd.Series([b"%d" % n for n in numbers], dtype=object)


def index(kind: str, rows: int) -> Any:
    if kind == "text":
        return pd.Index([f"row {n}" for n in range(rows)], name="row")
    if kind == "ints":
        return pd.Index(range(rows, 0, -1), name=("a", 1))
    if kind == "multi":
        return pd.MultiIndex.from_arrays([range(rows), ["x"] * rows], names=["n", None])
    if kind == "dates":
        return pd.date_range("2026-01-01", periods=rows, freq="D", name="day")
    return pd.RangeIndex(rows)


class TestPandas:
    @settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
    @given(
        kinds=st.lists(kinds, max_size=6),
        rows=st.sampled_from([0, 1, 30, 700]),
        label=labels,
        twice=st.booleans(),
        cut=st.booleans(),
    )
    @pytest.mark.usefixtures("few")
    def test_any_frame_comes_back_as_it_was(
        self, blobs: Blobs, kinds: list[str], rows: int, label: str, twice: bool, cut: bool
    ) -> None:
        frame = pd.DataFrame({number: column(kind, rows) for number, kind in enumerate(kinds)})
        frame = frame.reindex(range(rows)) if not kinds else frame
        frame.index = index(label, rows)
        frame.attrs = {"unit": "m", "deep": [1, {"a": (1, 2)}]}
        if twice and kinds:
            frame.columns = ["same"] * len(kinds)
        if cut:
            frame = frame.iloc[1::2]
        loaded = trip(blobs, frame)
        # Before it is looked at: pandas keeps in a frame what it has found out about it.
        assert loaded.unchanged(loaded.value)
        pd.testing.assert_frame_equal(loaded.value, frame, check_freq=True, check_flags=True)
        assert isinstance(loaded.value, pd.DataFrame)
        assert loaded.value.attrs == frame.attrs
        assert [type(one) for one in loaded.value.to_numpy(dtype=object).ravel()] == [
            type(one) for one in frame.to_numpy(dtype=object).ravel()
        ]

    def test_a_column_that_shrinks_leaves_the_others_maps(self, blobs: Blobs) -> None:
        rng = np.random.default_rng(1)
        frame = pd.DataFrame({"noise": rng.random(200_000), "whole": np.arange(200_000)})
        loaded = trip(blobs, frame)
        pd.testing.assert_frame_equal(loaded.value, frame)
        assert isinstance(loaded.value, pd.DataFrame)
        assert loaded.record.size < 2_200_000
        assert loaded.unchanged(loaded.value)
        loaded.value.loc[5, "whole"] = 7
        assert not loaded.unchanged(loaded.value)


def test_a_table_without_pyarrow_says_so(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    record = artifacts.save(blobs, {"x": pa.table({"a": [1]})})["x"]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ArtifactError, match="pyarrow") as caught:
        artifacts.load(blobs, record, "F/1/s/0/x")
    assert caught.value.where == "F/1/s/0/x"
