"""Every error of Airloom: what happened, where, how to mend it.

The tree is grouped by what the catcher can do::

    AirloomError
    |-- FlowError           mend your flow
    |   |-- GraphError      a step, a transition, a join
    |   |-- ParameterError  a parameter's declaration or value
    |   |-- ArtifactError   a value that cannot be saved, merged or changed
    |   |-- ConfigError     a config's file or value, an expression over configs
    |   |-- SizeError       a size nobody offers
    |   `-- CheckFailed     several of the above at once (``findings``)
    |-- SettingsError       mend your settings
    |-- DeployError         look at where the DAG file should go
    |-- StoreError          look at the store
    |   |-- NotFound        (also a KeyError)
    |   |-- NamespaceMismatch  it is there, but not in the namespace that is looked at
    |   |-- TagError        a tag that cannot be added or removed
    |   |-- AlreadyExists   somebody else was first
    |   |-- CorruptBlob     the bytes are not the ones that were saved
    |   `-- StoreUnavailable  retriable
    |-- ResumeError         choose another run or step to resume
    |-- TaskError           look at the task
    |   |-- StepFailed      the user's code raised
    |   |   `-- StepFailedForGood  what @retry(on=...) does not name: no other attempt helps
    |   |-- StepTimedOut    the user's code took longer than @timeout allows
    |   `-- VersionSkew     code or plan is not the one that the run began with
    `-- InternalError       our fault: report it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Place:
    """Where in somebody's code an error lies.

    >>> str(Place("train.py", 41, "fit"))
    "train.py:41, step 'fit'"
    """

    file: str
    line: int | None = None
    step: str | None = None

    def __str__(self) -> str:
        text = self.file if self.line is None else f"{self.file}:{self.line}"
        return text if self.step is None else f"{text}, step {self.step!r}"


class AirloomError(Exception):
    """The root: catch it to catch all of Airloom's errors.

    Parameters
    ----------
    what
        One sentence that says what is wrong.
    where
        A `Place`, a pathspec, a file, a setting: where to look.
    mend
        One sentence that says what to do.
    """

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    retriable: ClassVar[bool] = False

    def __init__(self, what: str, *, where: Place | str, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.what}\n  where: {self.where}\n  mend:  {self.mend}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.mend, self.__dict__.copy())


def _rebuild(
    cls: type[AirloomError], what: str, where: Place | str, mend: str, state: dict[str, object]
) -> AirloomError:
    error = cls.__new__(cls)
    AirloomError.__init__(error, what, where=where, mend=mend)
    error.__dict__.update(state)
    return error


class FlowError(AirloomError):
    kind = "flow"
    exit_code = 2


class GraphError(FlowError):
    kind = "graph"


class ParameterError(FlowError):
    kind = "parameter"


class ConfigError(FlowError):
    kind = "config"


class ArtifactError(FlowError):
    kind = "artifact"


class SizeError(FlowError):
    kind = "size"


class CheckFailed(FlowError):
    """All findings of one check at once.

    ``findings`` holds them in the order of their lines.
    """

    kind = "check"

    def __init__(self, findings: list[FlowError], *, where: Place | str) -> None:
        count = "1 problem" if len(findings) == 1 else f"{len(findings)} problems"
        super().__init__(f"the flow has {count}", where=where, mend="see each of them")
        self.findings = tuple(findings)

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self.findings)


class SettingsError(AirloomError):
    kind = "settings"
    exit_code = 3


class DeployError(AirloomError):
    kind = "deploy"
    exit_code = 4


class StoreError(AirloomError):
    kind = "store"
    exit_code = 5


class NotFound(StoreError, KeyError):
    kind = "not_found"


class NamespaceMismatch(StoreError):
    """Not a `NotFound`: who waits for a run to appear would wait for ever."""

    kind = "namespace_mismatch"


class TagError(StoreError):
    kind = "tag"


class AlreadyExists(StoreError):
    kind = "already_exists"


class CorruptBlob(StoreError):
    kind = "corrupt_blob"


class StoreUnavailable(StoreError):
    kind = "store_unavailable"
    retriable = True


class ResumeError(AirloomError):
    kind = "resume"
    exit_code = 7


class TaskError(AirloomError):
    kind = "task"
    exit_code = 6


class StepFailed(TaskError):
    kind = "step_failed"
    retriable = True


class StepFailedForGood(StepFailed):
    kind = "step_failed_for_good"
    retriable = False


class StepTimedOut(TaskError):
    kind = "step_timed_out"
    retriable = True


class VersionSkew(TaskError):
    kind = "version_skew"


class InternalError(AirloomError):
    kind = "internal"
    exit_code = 70
