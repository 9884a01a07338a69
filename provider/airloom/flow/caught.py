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
        Qualified name of its class.
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
        name = (
            kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        )
        return cls(str(error), name, "".join(traceback.format_exception(error)))

    def __str__(self) -> str:
        return self.stacktrace

    def __repr__(self) -> str:
        return f"CaughtException({self.type}: {self.exception})"
