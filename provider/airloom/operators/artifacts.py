"""LoadArtifactOperator and SaveArtifactOperator: artifacts in DAGs of classic operators.

Parsing a DAG file imports this module, so everything that only a running task needs is
imported where it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airloom.operators.xcom_args import ArtifactsXComArg

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context

    from airloom.codec import Json

LATEST = "latest"
"""In the place of a run: the newest that was successful."""


class LoadArtifactOperator(BaseOperator):
    """Find an artifact of any run, and hand it on: as a reference, as its value, or as a file.

    Parameters
    ----------
    artifact
        Pathspec: ``Flow/run/step/task/artifact``. The flow may be a DAG's id; the run may be
        ``latest``, the newest that was successful, whoever started it.
    file
        Path on the worker that the value is written to, and that is pushed. Bytes and text are
        written as they are, everything else pickled. The folder is made.
    as_value
        The value itself is pushed: for small plain ones, and for templates. Else the reference is;
        tasks that take ``output`` as an argument get the value all the same.
    """

    template_fields: Sequence[str] = ("artifact", "file")
    ui_color = "#dbe8f4"

    def __init__(
        self,
        *,
        artifact: str,
        file: str | None = None,
        as_value: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.artifact = artifact
        self.file = file
        self.as_value = as_value

    @property
    def output(self) -> ArtifactsXComArg:
        """What it pushes, as an argument of other tasks: they get the value."""
        return ArtifactsXComArg(operator=self)

    def execute(self, context: Context) -> Any:
        """Find the artifact; return the path, the value or the reference.

        Raises
        ------
        AirflowFailException
            When there is no such artifact, or it cannot be loaded or written.
        AirflowException
            When the datastore does not answer.
        """
        from airloom.errors import AirloomError
        from airloom.operators.execution import translate
        from airloom.operators.transfers import find, write

        try:
            reference, load = find(self.artifact)
            if self.file is not None:
                return write(self.file, load())
            return load() if self.as_value else reference
        except AirloomError as error:
            translate(error)


class SaveArtifactOperator(BaseOperator):
    """Save a value, or a file of the worker, as an artifact of this task.

    Parameters
    ----------
    artifact
        Its name.
    value
        The value; may be a template, or what another task has pushed: ``other.output``.
    file
        Path of a file on the worker whose bytes are the value.
    """

    template_fields: Sequence[str] = ("artifact", "value", "file")
    ui_color = "#dbe8f4"

    def __init__(self, *, artifact: str, value: Any = None, file: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.artifact = artifact
        self.value = value
        self.file = file

    @property
    def output(self) -> ArtifactsXComArg:
        """What it pushes, as an argument of other tasks: they get the value."""
        return ArtifactsXComArg(operator=self)

    def execute(self, context: Context) -> Json:
        """Save it; return the reference.

        Raises
        ------
        AirflowFailException
            When the value cannot be saved, or the file not be read.
        AirflowException
            When the datastore does not answer.
        """
        from airloom.errors import AirloomError
        from airloom.operators.execution import translate
        from airloom.operators.recording import Recording

        work: Callable[[], object] = self._value
        outputs: Callable[[object], Mapping[str, object]] = lambda value: {self.artifact: value}  # noqa: E731
        try:
            _, saved = Recording(context).run(work, outputs)
        except AirloomError as error:
            translate(error)
        return saved[self.artifact]

    def _value(self) -> object:
        from airloom.operators.references import resolve
        from airloom.operators.transfers import read

        return resolve(self.value) if self.file is None else read(self.file, self.task_id)
