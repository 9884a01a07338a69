"""What follows a failed attempt: each kind of failure on its own budget, memory grown when it ran out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airloom.failures import FailureKind
from airloom.plan import BatchPlan, EcsPlan, Recovery, Resources, Retry, StepPlan, Transition
from airloom.sizing.catalogue import Size
from airloom.sizing.recovery import GROWN, Former, after, grown, resized, retries

OOM, SPOT, USER = FailureKind.OUT_OF_MEMORY, FailureKind.SPOT_RECLAIMED, FailureKind.USER_CODE


def planned(**changes: Any) -> StepPlan:
    said: dict[str, Any] = {
        "target": "batch",
        "resources": Resources(memory_mib=256),
        "retry": Retry(2),
        "batch": BatchPlan(platform="EC2"),
    }
    return StepPlan("fit", Transition("end"), **{**said, **changes})


def killed(*sizes: int) -> list[Former]:
    return [Former(OOM, size) for size in sizes]


def test_memory_doubles_after_each_kill_and_costs_no_retry() -> None:
    step = planned()
    first = after(step, killed(256))
    assert (first.again, first.memory_mib, first.budget, first.retry_count) == (True, 512, "growth", 0)
    second = after(step, killed(256, 512))
    assert second.memory_mib == 1024
    assert second.sentence == "out of memory at 512 MiB: the next attempt gets 1024 MiB (2 of 4 growths)"


def test_growths_end_with_their_budget() -> None:
    last = after(planned(), killed(256, 512, 1024, 2048, 4096))
    assert (last.again, last.budget) == (False, "growth")
    assert last.sentence == "out of memory at 4096 MiB: all 4 growths are used up"


def test_growths_end_at_the_most() -> None:
    step = planned(resources=Resources(memory_mib=256, max_memory_mib=700))
    assert after(step, killed(256, 512)).memory_mib == 700
    last = after(step, killed(256, 512, 700))
    assert not last.again
    assert last.sentence == "out of memory at 700 MiB, the most that it may have"


def test_growths_end_at_what_fargate_offers() -> None:
    step = planned(batch=BatchPlan(platform="FARGATE"))
    assert grown(step, 200_000) == 249_856
    assert not after(step, killed(249_856)).again
    settings_say = planned(batch=BatchPlan())
    assert not after(settings_say, killed(249_856), "FARGATE").again


def test_a_factor_of_the_flow_counts_and_is_rounded_up() -> None:
    step = planned(recovery=Recovery(factor=1.5))
    assert after(step, killed(255)).memory_mib == 383


def test_growths_of_0_turn_growing_off() -> None:
    assert not after(planned(recovery=Recovery(growths=0)), killed(256)).again


def test_what_has_grown_stays_so_after_another_failure() -> None:
    following = after(planned(), [*killed(256), Former(USER, 512)])
    assert (following.again, following.memory_mib, following.retry_count) == (True, 512, 1)


def test_without_a_size_memory_cannot_grow_and_retry_pays() -> None:
    following = after(planned(target="worker", resources=Resources()), [Former(OOM)])
    assert (following.again, following.budget, following.retry_count) == (True, "retry", 1)


BUDGETS = [
    (USER, "retry", 2),
    (FailureKind.TIMEOUT, "retry", 2),
    (FailureKind.UNKNOWN, "retry", 2),
    (SPOT, "reclaim", 5),
    (FailureKind.LOST_HOST, "loss", 2),
    (FailureKind.IMAGE_PULL, "loss", 2),
    (FailureKind.START_FAILED, "loss", 2),
]


@pytest.mark.parametrize(("kind", "budget", "times"), BUDGETS)
def test_each_kind_has_its_budget(kind: FailureKind, budget: str, times: int) -> None:
    step = planned()
    for count in range(1, times + 1):
        following = after(step, [Former(kind, 256)] * count)
        assert (following.again, following.budget, following.memory_mib) == (True, budget, 256)
    last = after(step, [Former(kind, 256)] * (times + 1))
    assert (last.again, last.budget) == (False, budget)
    assert "are used up" in last.sentence


def test_every_kind_of_failure_has_an_answer() -> None:
    for kind in FailureKind:
        assert after(planned(), [Former(kind, 256)]).sentence


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if not kind.again])
def test_what_no_attempt_can_mend_is_final(kind: FailureKind) -> None:
    assert not after(planned(), [Former(kind, 256)]).again


def test_a_failure_for_good_is_final() -> None:
    assert not after(planned(), [Former(USER, 256, again=False)]).again


def test_budgets_do_not_pay_for_each_other() -> None:
    former = [*killed(256, 512), *[Former(SPOT, 1024)] * 5, *[Former(USER, 1024)] * 2]
    following = after(planned(), former)
    assert (following.again, following.retry_count, following.last_try, following.reclaims) == (
        True,
        2,
        True,
        5,
    )


def test_the_last_try_is_the_one_after_which_retry_pays_no_more() -> None:
    assert after(planned(retry=Retry(0)), []).last_try
    assert not after(planned(), []).last_try
    assert after(planned(), [Former(USER, 256)] * 2).last_try


def test_a_reclaimed_job_goes_to_the_other_queue() -> None:
    step = planned(batch=BatchPlan(queue="a", spot_queue="b", fallback_after=2))
    assert [after(step, [Former(SPOT, 256)] * count).on_spot(step) for count in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    assert not after(planned(), []).on_spot(planned())
    ecs = planned(target="ecs", batch=None, ecs=EcsPlan(spot_capacity_provider="FARGATE_SPOT"))
    assert after(ecs, []).on_spot(ecs)
    assert not after(ecs, [Former(SPOT, 256)]).on_spot(ecs)


def test_the_size_of_the_next_attempt_says_why() -> None:
    first = Size(1, 256)
    second = resized(first, after(planned(), killed(256)))
    assert second == Size(1, 512, why=GROWN, grown_from_mib=256)
    assert resized(second, after(planned(), killed(256, 512))).grown_from_mib == 256
    assert resized(first, after(planned(), [Former(USER, 256)])) == first


def test_the_sum_of_the_budgets_is_what_airflow_is_told() -> None:
    assert retries(planned()) == 2 + 4 + 5 + 2
    assert retries(planned(resources=Resources(memory_mib=256, max_memory_mib=512))) == 2 + 1 + 5 + 2
    assert retries(planned(resources=Resources(memory_mib=256, max_memory_mib=256))) == 2 + 0 + 5 + 2
    assert retries(planned(target="worker", batch=None)) == 2
    assert retries(planned(target="worker", batch=None), limited=True) == 2 + 4
    assert retries(planned(target="worker", batch=None, resources=Resources()), limited=True) == 2


KINDS = st.sampled_from(list(FailureKind))


@given(
    st.lists(KINDS, max_size=30),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([None, 256, 700, 5000]),
)
def test_no_history_is_longer_than_the_retries_that_airflow_is_told(
    kinds: list[FailureKind], times: int, growths: int, most: int | None
) -> None:
    step = planned(
        retry=Retry(times),
        recovery=Recovery(growths=growths),
        resources=Resources(memory_mib=256, max_memory_mib=most),
    )
    former: list[Former] = []
    size = Size(1, 256)
    for kind in kinds:
        former.append(Former(kind, size.memory_mib))
        following = after(step, former)
        if not following.again:
            return
        size = resized(size, following)
        assert len(former) <= retries(step)
        assert size.memory_mib is not None
        assert size.memory_mib <= (most or 256 * 2**growths)
