"""What @catch leaves behind: an exception that can be saved, whatever it was."""

from __future__ import annotations

import traceback


class CaughtException(Exception):
    """An exception of a step, with its text and traceback, for later steps to look at.

    Attributes
    ----------
    exception
        The exception's text.
    type
        Module and name of its class, e.g. ``builtins.KeyError``.
    stacktrace
        The traceback as text; also ``str()`` of this object.
    """

    def __init__(self, exception: str, type: str, stacktrace: str) -> None:  # noqa: A002 - Metaflow's name
        super().__init__(exception, type, stacktrace)
        self.exception = exception
        self.type = type
        self.stacktrace = stacktrace

    @classmethod
    def of(cls, error: BaseException) -> CaughtException:
        """Wrap an exception that is being handled."""
        kind = type(error)
        name = f"{kind.__module__}.{kind.__qualname__}"  # as Metaflow names it, builtins too
        return cls(str(error), name, "".join(traceback.format_exception(error)))

    def __str__(self) -> str:
        return self.stacktrace

    def __repr__(self) -> str:
        return f"CaughtException({self.type.removeprefix('builtins.')}: {self.exception})"
