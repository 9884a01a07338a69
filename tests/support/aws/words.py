"""The words in which AWS says what happened. Behind each stands who says that it does.

- "docs": a page of AWS's documentation, by its name, read in 2026-11 from stored copies.
- "seen": reports of people who met the words on AWS: public issue threads and public code.
- "prototype": the emulator's own words; nobody has been found who met them on AWS. Do not build on them.
"""

from __future__ import annotations

# docs: Amazon ECS, "Troubleshooting Amazon ECS OutOfMemoryError errors"; seen: aws/amazon-ecs-agent#1187.
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
# seen: in many threads: Batch's statusReason and ECS's stoppedReason of a container that ended.
ESSENTIAL_EXITED = "Essential container in task exited"
# docs: AWS Batch, "Automated job retries"; seen: ncbi/elastic-blast's documentation.
FAILED_TO_START = "Task failed to start"
# seen: public code that reads it, such as insitro/redun; exit code 137 stands beside it.
TIMEOUT = "Job attempt duration exceeded timeout"
# seen: nextflow-io/nextflow#5786 (Batch on Fargate Spot); docs: Amazon ECS, "Task state change events".
SPOT_TASK = "Your Spot Task was interrupted."
# docs: AWS Batch, "Jobs stuck in a RUNNABLE status".
TOO_LARGE = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher "
    "than that can be met by the CE(s) attached to the job queue."
)
# docs: the same page.
TOO_MANY_VCPUS = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet "
    "the CPU requirement of the job."
)
# prototype: that a dependency's failure fails the job is documented ("Job dependencies"), the words are not.
DEPENDENCY_FAILED = "Dependent Job failed"
# seen: public tests against AWS's answers.
CHILD_FAILED = "Array Child Job failed"
# seen: Netflix/metaflow#1482. ECS refuses the overrides that Batch hands to it.
OVERRIDES_TOO_LONG = "Container Overrides length must be at most 8192"
# docs: Amazon ECS, "Invalid CPU or memory value specified".
NO_FARGATE_PAIR = "No Fargate configuration exists for given values."
# seen: Stack Overflow and Terraform threads.
FARGATE_NEEDS = "Fargate requires that '{what}' be defined at the task level."
# docs: Amazon ECS API reference, StopTask.
STOPPED_BY_USER = "Task stopped by user"
# seen: in several threads, behind either of the two beginnings of no_log_group.
NO_LOG_GROUP = (
    "failed to create Cloudwatch log stream: ResourceNotFoundException: "
    "The specified log group does not exist."
)


def host_terminated(instance: str) -> str:
    """Give Batch's word for a host that is gone.

    Seen: calypr/funnel#973, "Host EC2 (instance i-0e234208f6fc9291f) terminated"; AWS's post "Introducing
    retry strategies for AWS Batch" matches ``Host EC2*``.
    """
    return f"Host EC2 (instance {instance}) terminated."


def cannot_pull(image: str) -> str:
    """Docs: Amazon ECS, "CannotPullContainer task errors", "... failed to resolve ref ... not found"."""
    return (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
        f"failed to resolve ref {image}: {image}: not found"
    )


def cannot_start(why: str) -> str:
    """Docs: Amazon ECS, "CannotStartContainerError"; the part behind it is the container engine's."""
    return f"CannotStartContainerError: Error response from daemon: {why}"


def no_executable(name: str) -> str:
    """Seen: what runc says, and the engine hands on, in many threads."""
    return f'failed to create task for container: exec: "{name}": executable file not found in $PATH: unknown'


def no_log_group(*, fargate: bool) -> str:
    """Seen: "failed to validate logger args" on Fargate, "failed to initialize logging driver" on EC2."""
    if fargate:
        tried = "failed to validate logger args: create stream has been retried 1 times"
        return f"ResourceInitializationError: {tried}: {NO_LOG_GROUP}"
    return cannot_start(f"failed to initialize logging driver: {NO_LOG_GROUP}")


def fargate_pair(vcpus: float, memory_mib: int) -> str:
    """Seen: Netflix/metaflow#749."""
    return f"Fargate resource requirements ({vcpus:.2f} vCPU, {memory_mib} MiB) not valid."


def not_numeric(kind: str, value: object) -> str:
    """Seen: kestra-io/plugin-aws#504."""
    return (
        f"Value {value} for type {kind} in resourceRequirement is not valid. Please provide a numeric value."
    )
