"""Metaflow's names for errors: ``from airloom.exception import MetaflowNotFound``.

Each is one of Airloom's own errors, so that code which catches them goes on to work. They are
for catching, not for raising: Airloom's errors are made of what, where and mend.

Left out are Metaflow's errors of things that Airloom has no equal of, e.g. ``ExternalCommandFailed``.
"""

from __future__ import annotations

from airloom.errors import (
    AirloomError,
    FlowError,
    GraphError,
    InternalError,
    NamespaceMismatch,
    NotFound,
    ParameterError,
    StepTimedOut,
    TagError,
)
from airloom.flow.caught import CaughtException
from airloom.flow.spec import MissingInMergeArtifacts, UnhandledInMergeArtifacts

CommandException = AirloomError
InvalidDecoratorAttribute = FlowError
InvalidNextException = GraphError
MetaflowDataMissing = NotFound
MetaflowException = AirloomError
MetaflowExceptionWrapper = CaughtException
MetaflowInternalError = InternalError
MetaflowNamespaceMismatch = NamespaceMismatch
MetaflowNotFound = NotFound
MetaflowTaggingError = TagError
MissingInMergeArtifactsException = MissingInMergeArtifacts
ParameterFieldFailed = ParameterError
ParameterFieldTypeMismatch = ParameterError
TaggingException = TagError
TimeoutException = StepTimedOut
UnhandledInMergeArtifactsException = UnhandledInMergeArtifacts

__all__ = [
    "CommandException",
    "InvalidDecoratorAttribute",
    "InvalidNextException",
    "MetaflowDataMissing",
    "MetaflowException",
    "MetaflowExceptionWrapper",
    "MetaflowInternalError",
    "MetaflowNamespaceMismatch",
    "MetaflowNotFound",
    "MetaflowTaggingError",
    "MissingInMergeArtifactsException",
    "ParameterFieldFailed",
    "ParameterFieldTypeMismatch",
    "TaggingException",
    "TimeoutException",
    "UnhandledInMergeArtifactsException",
]
