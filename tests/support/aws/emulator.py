"""The emulator as tests see it: a server that is started, an account set up in it, and what may go wrong."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3

Answer = TypeVar("Answer")
REGION = "us-east-1"
SUPPORT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Account:
    """What stands in the account: names and ARNs as a person would have made them (docs/aws.md)."""

    bucket: str = "airloom"
    queue: str = "on-demand"
    spot_queue: str = "spot"
    fargate_queue: str = "fargate"
    cluster: str = "airloom"
    log_group: str = "/ecs/airloom"  # the default of the setting ecs_log_group
    job_role: str = ""
    execution_role: str = ""
    subnets: tuple[str, ...] = ()
    security_group: str = ""


@dataclass
class Emulator:
    """A running server; made by `start`, ended by `close`."""

    url: str
    process: subprocess.Popen[str]
    account: Account = field(default_factory=Account)

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        images: Mapping[str, str | None] | None = None,
        engine: str | None = None,
    ) -> Emulator:
        """Start a server and set an account up in it.

        Parameters
        ----------
        folder
            A folder of its own; the processes of its jobs run below it.
        images
            For jobs as processes: the interpreter (or none) that an image stands for.
        engine
            For jobs as containers: where the engine listens (``unix://...``).
        """
        command = [sys.executable, "-m", "support.aws", "--folder", str(folder)]
        command += ["--runner", "process" if engine is None else "docker"]
        command += ["--engine", engine] if engine else []
        for name, python in (images or {}).items():
            command += ["--image", f"{name}={python or ''}"]
        log = (folder / "log").open("wb")
        process = subprocess.Popen(
            command, cwd=SUPPORT.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        log.close()
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, (folder / "log").read_text(encoding="utf-8")
        made = cls(url, process)
        try:
            made.account = made._set_up()
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()  # it ends with its input, and its jobs with it
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()

    # -- reaching it ------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which any AWS client reaches it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "emulated",
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_DEFAULT_REGION": REGION,
        }

    @property
    def connection(self) -> str:
        """An Airflow connection of the type aws, as the value of a variable AIRFLOW_CONN_..."""
        return json.dumps(
            {
                "conn_type": "aws",
                "login": "emulated",
                "password": "emulated",
                "extra": {"endpoint_url": self.url, "region_name": REGION},
            }
        )

    @functools.cache  # noqa: B019 - a client costs 100 ms, and lives as long as the session's emulator
    def client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="emulated",
            aws_secret_access_key="emulated",
        )

    def __hash__(self) -> int:
        return id(self)

    # -- what goes wrong --------------------------------------------------------------------

    def interrupt(self, name: str, by: str = "spot") -> bool:
        """Take the host under a running job (its id) or task (its ARN) away, by "spot" or "host"."""
        return bool(self._steer("interrupt", id=name, by=by))

    def throttle(self, operation: str, times: int) -> None:
        """Answer the next calls of an operation ("batch.SubmitJob") that they are too many."""
        self._steer("fault", operation=operation, times=times)

    def fail(self, operation: str, times: int, *, code: str, message: str, status: int = 400) -> None:
        """Answer the next calls of an operation with an error."""
        self._steer("fault", operation=operation, times=times, code=code, message=message, status=status)

    def limit(self, operation: str, per_second: int) -> None:
        """Let an operation through only so often a second."""
        self._steer("rate", operation=operation, per_second=per_second)

    def hide(self, seconds: float) -> None:
        """Tell nobody of jobs and tasks that are younger than this: eventual consistency."""
        self._steer("set", hidden_s=seconds)

    def stick(self, reason: str) -> None:
        """Let new jobs stay RUNNABLE, with this statusReason (words.TOO_LARGE)."""
        self._steer("set", stuck=reason)

    def free(self) -> None:
        """Let jobs that are stuck start."""
        self._steer("free")

    def hurry(self, speed: float) -> None:
        """Let the timeouts of jobs, 60 s at least, pass so many times faster."""
        self._steer("set", speed=speed)

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self._steer("calm")

    def image(self, name: str, python: str | None) -> None:
        """Let an image be there (jobs as processes)."""
        self._steer("image", name=name, python=python)

    def requests(self, *, clear: bool = False) -> dict[str, int]:
        """How often each operation was asked for: {"batch.SubmitJob": 3, "s3.GET": 12}."""
        return dict(self._steer("requests", clear=clear))

    def _steer(self, verb: str, **asked: object) -> Any:
        body = json.dumps(asked).encode()
        with urllib.request.urlopen(f"{self.url}/emulator/{verb}", data=body, timeout=30) as answer:
            return json.load(answer)

    # -- jobs and tasks ---------------------------------------------------------------------

    def job(self, name: str) -> dict[str, Any]:
        """What DescribeJobs says of a job."""
        return dict(self.client("batch").describe_jobs(jobs=[name])["jobs"][0])

    def task(self, name: str) -> dict[str, Any]:
        """What DescribeTasks says of a task of the account's cluster."""
        cluster = self.account.cluster
        return dict(
            self.client("ecs").describe_tasks(cluster=cluster, tasks=[name], include=["TAGS"])["tasks"][0]
        )

    def ended_job(self, name: str, timeout_s: float = 60) -> dict[str, Any]:
        """Wait for a job's end."""
        return wait_for(
            lambda: self.job(name), lambda job: job["status"] in ("SUCCEEDED", "FAILED"), timeout_s
        )

    def ended_task(self, name: str, timeout_s: float = 60) -> dict[str, Any]:
        """Wait for a task's end."""
        return wait_for(lambda: self.task(name), lambda task: task["lastStatus"] == "STOPPED", timeout_s)

    def lines(self, group: str, stream: str) -> list[str]:
        """Give what a stream of CloudWatch Logs holds now."""
        logs = self.client("logs")
        told = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
        return [event["message"] for event in told["events"]]

    def _set_up(self) -> Account:
        iam, ec2, batch = self.client("iam"), self.client("ec2"), self.client("batch")
        trust = {"Version": "2012-10-17", "Statement": []}
        roles = {
            name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
            for name in ("batch-service", "job", "execution", "instance")
        }
        iam.create_instance_profile(InstanceProfileName="instance")
        iam.add_role_to_instance_profile(InstanceProfileName="instance", RoleName="instance")
        profile = iam.get_instance_profile(InstanceProfileName="instance")["InstanceProfile"]["Arn"]
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
        group = ec2.create_security_group(GroupName="airloom", Description="jobs", VpcId=vpc)["GroupId"]
        network = {"subnets": subnets, "securityGroupIds": [group]}
        hosts = {"minvCpus": 0, "instanceTypes": ["m5.24xlarge"], "instanceRole": profile, **network}
        places = {
            "on-demand": {"type": "EC2", "maxvCpus": 16, **hosts},
            "spot": {"type": "SPOT", "maxvCpus": 16, "bidPercentage": 100, **hosts},
            "fargate": {"type": "FARGATE", "maxvCpus": 16, **network},
        }
        account = Account(
            job_role=roles["job"],
            execution_role=roles["execution"],
            subnets=tuple(subnets),
            security_group=group,
        )
        for name, resources in places.items():
            batch.create_compute_environment(
                computeEnvironmentName=name,
                type="MANAGED",
                state="ENABLED",
                computeResources=resources,
                serviceRole=roles["batch-service"],
            )
            order = [{"order": 1, "computeEnvironment": name}]
            batch.create_job_queue(
                jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order
            )
        self.client("ecs").create_cluster(
            clusterName=account.cluster, capacityProviders=["FARGATE", "FARGATE_SPOT"]
        )
        self.client("s3").create_bucket(Bucket=account.bucket)
        self.client("logs").create_log_group(logGroupName=account.log_group)
        return account


def wait_for(ask: Callable[[], Answer], enough: Callable[[Answer], bool], timeout_s: float = 60) -> Answer:
    """Ask until the answer is enough; a generous limit, and no assertion about time."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = ask()
        if enough(answer):
            return answer
        assert time.monotonic() < deadline, f"still not, after {timeout_s} s: {answer}"
        time.sleep(0.05)
