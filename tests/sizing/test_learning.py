"""What former attempts used, and the size that follows from it."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from airloom.plan import Resources
from airloom.sizing.catalogue import Size
from airloom.sizing.learning import Grown, Learned, Observation, first, learn, percentile

AUTO = Resources(memory_mib=4096, cpu=1, learned=("cpu", "memory"))
MIB = 2**20


def seen(*peaks: float, wall_s: float = 10, cpu_s: float = 5, cpu: float | None = 1) -> list[Observation]:
    return [Observation(peak, cpu_s, wall_s, 0, cpu) for peak in peaks]


def test_nothing_is_learned_from_nothing() -> None:
    assert learn([], runs=0) == Learned()
    assert first(AUTO, "batch", learned=Learned()) == Size(1, 4096)


def test_the_largest_of_a_few_counts_with_a_margin() -> None:
    learned = learn(seen(300, 310, 400, 305, 302), runs=5)
    assert learned.memory_mib == 512  # 400 * 1.2 = 480, in steps of 64
    assert learned.why == "learned p95 of 5"


def test_very_few_get_a_larger_margin() -> None:
    assert learn(seen(400), runs=1).memory_mib == 640  # 400 * 1.5 = 600


def test_one_in_twenty_may_grow_by_itself() -> None:
    peaks = [*[300.0] * 39, 9000.0]
    assert learn(seen(*peaks), runs=2).memory_mib == 384


def test_what_is_learned_is_what_the_next_attempt_gets() -> None:
    learned = learn(seen(*[300] * 10), runs=2)
    size = first(AUTO, "batch", learned=learned)
    assert (size.memory_mib, size.cpu, size.why) == (384, 0.75, "learned p95 of 10")


def test_shadow_mode_only_notes_it() -> None:
    learned = learn(seen(*[300] * 10), runs=2)
    size = first(AUTO, "batch", learned=learned, apply=False)
    assert (size.memory_mib, size.cpu) == (4096, 1)
    assert size.why == "declared (384 MiB learned p95 of 10)"


def test_what_is_not_auto_stays_as_declared() -> None:
    learned = learn(seen(*[300] * 10), runs=2)
    assert first(Resources(memory_mib=4096), "batch", learned=learned) == Size(1, 4096)


def test_floor_and_ceiling_hold() -> None:
    low, high = learn(seen(*[10] * 10), runs=1), learn(seen(*[9000] * 10), runs=1)
    assert first(AUTO, "batch", learned=low).memory_mib == 128
    assert first(replace(AUTO, min_memory_mib=1000), "batch", learned=low).memory_mib == 1000
    assert first(replace(AUTO, max_memory_mib=5000), "batch", learned=high).memory_mib == 5000


def test_inputs_that_explain_the_peaks_decide() -> None:
    growing = [Observation(100 + 3 * size, 5, 10, size * MIB) for size in range(10, 200, 10)]
    learned = learn(growing, runs=3)
    assert learned.mib_per_gib > 0
    assert learned.why == "learned p95 of 19 by input size"
    small = learned.memory(AUTO, 10 * MIB)
    large = learned.memory(AUTO, 400 * MIB)
    assert small is not None
    assert large is not None
    assert 130 * 1.2 <= small <= 130 * 1.2 + 65
    assert 1300 * 1.2 <= large <= 1300 * 1.2 + 65


def test_inputs_that_explain_nothing_do_not() -> None:
    dice = random.Random(7)
    scattered = [Observation(dice.uniform(200, 900), 5, 10, dice.randrange(200) * MIB) for _ in range(50)]
    assert learn(scattered, runs=3).mib_per_gib == 0


def test_peaks_that_fall_with_the_inputs_do_not() -> None:
    falling = [Observation(1000 - 3 * size, 5, 10, size * MIB) for size in range(10, 200, 10)]
    assert learn(falling, runs=3).mib_per_gib == 0


def test_equal_inputs_make_no_line() -> None:
    assert learn([Observation(300 + n, 5, 10, 5 * MIB) for n in range(20)], runs=1).mib_per_gib == 0


def test_cpu_is_what_was_used_with_a_margin() -> None:
    assert learn(seen(*[300] * 5, cpu_s=15, cpu=4), runs=1).cpu == 1.75  # 1.5 * 1.1 = 1.65
    assert learn(seen(*[300] * 5, cpu_s=0.1), runs=1).cpu == 0.25


def test_cpu_that_was_used_up_doubles_to_the_most() -> None:
    busy = seen(*[300] * 5, cpu_s=19, cpu=2)
    assert learn(busy, runs=1).cpu == 4
    assert learn(seen(*[300] * 5, cpu_s=79, cpu=8), runs=1, needs=Resources(max_cpu=8)).cpu == 8
    assert learn(busy, runs=1, needs=Resources(max_cpu=3)).cpu == 3


def test_cpu_of_short_attempts_tells_nothing() -> None:
    assert learn(seen(*[300] * 5, wall_s=0.4), runs=1).cpu is None


GREW = Learned(grown=Grown(256, 1024, "run7"))


def test_the_next_run_starts_at_the_size_that_worked() -> None:
    size = first(Resources(memory_mib=256), "worker", learned=GREW)
    assert size == Size(memory_mib=1024, why="grown in run run7", grown_from_mib=256)


def test_another_declaration_begins_anew() -> None:
    assert first(Resources(memory_mib=300), "worker", learned=GREW) == Size(memory_mib=300)


def test_what_grew_stays_below_the_most() -> None:
    needs = Resources(memory_mib=256, max_memory_mib=700)
    assert first(needs, "worker", learned=GREW).memory_mib == 700


def test_computed_sizes_are_at_least_the_number_beside_them() -> None:
    needs = Resources(memory_mib=500, computed=("cpu", "memory"))
    size = first(needs, "worker", computed={"memory": 700.2, "cpu": 1.5})
    assert (size.memory_mib, size.cpu, size.why) == (701, 1.5, "computed")
    assert first(needs, "worker", computed={"memory": 10}).memory_mib == 500


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile([5, 1, 3]) == 5
    assert percentile(list(range(1, 21))) == 19


@given(
    st.lists(
        st.builds(
            Observation,
            peak_mib=st.floats(1, 1e6),
            cpu_s=st.floats(0, 1e5),
            wall_s=st.floats(0, 1e5),
            input_bytes=st.integers(0, 2**40),
            cpu=st.none() | st.floats(0.25, 64),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_a_size_is_within_its_bounds_whatever_was_seen(observations: list[Observation]) -> None:
    needs = replace(AUTO, min_memory_mib=256, max_memory_mib=100_000, max_cpu=16)
    learned = learn(observations, runs=1, needs=needs)
    for size in (first(needs, "batch", learned=learned, input_bytes=n) for n in (0, 2**30, 2**45)):
        assert size.memory_mib is not None
        assert size.cpu is not None
        assert 256 <= size.memory_mib <= 100_000
        assert 0.25 <= size.cpu <= 16


@given(st.lists(st.floats(1, 1e5), min_size=1, max_size=19))
def test_of_a_few_attempts_none_would_have_run_out_of_memory(peaks: list[float]) -> None:
    learned = learn(seen(*peaks), runs=1)
    assert learned.memory_mib is not None
    assert learned.memory_mib >= max(peaks)
