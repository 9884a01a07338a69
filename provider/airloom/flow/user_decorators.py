"""Step decorators of the user's own: code around a step, in every target alike.

Like the others they leave only what was written on the step; `airloom.runtime.wrapped` runs them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from airloom.errors import FlowError, GraphError, Place
from airloom.flow.declarations import StepDeclaration, Written, step_declaration
from airloom.flow.registry import caller, note

U = TypeVar("U", bound="UserDecorator")
Around = Callable[..., Iterator[Any]]

USER_SKIP_STEP: dict[str, Any] = {}
"""What a generator yields to have the step skipped; its own ``self.next`` counts all the same."""


class UserDecorator:
    """Base of decorators of steps that a user defines as classes: ``@Name`` or ``@Name(argument=value)``.

    A subclass takes its arguments in ``init``, not in ``__init__``: an object is made anew for each
    task, when the values of configs among the arguments are known.
    """

    airloom_written: Written

    def __new__(cls, *positional: Any, **arguments: Any) -> Any:
        """Mark a step that stands bare below ``@Name``; otherwise make the object that will."""
        if len(positional) == 1 and not arguments and step_declaration(positional[0]) is not None:
            return note(positional[0], Written(qualified(cls), {}, caller(), (), cls))
        self = super().__new__(cls)
        self.airloom_written = Written(qualified(cls), arguments, caller(), positional, cls)
        return self

    def __call__(self, function: Any) -> Any:
        """Mark the step."""
        return note(function, self.airloom_written)

    def init(self, *positional: Any, **arguments: Any) -> None:
        """Take the decorator's arguments; to be defined by a subclass that has some."""
        if positional or arguments:
            raise FlowError(
                f"@{type(self).__name__} is given arguments, and has no method init that takes them",
                where=self.airloom_written.place,
                mend="define def init(self, ...) in its class, or leave the arguments out.",
            )


class UserStepDecorator(UserDecorator):
    """A decorator that does something before and after a step.

    Attributes
    ----------
    skip_step
        True, or arguments for ``self.next``, set in ``pre_step``: the step itself does not run.
    """

    skip_step: bool | dict[str, Any] = False

    def pre_step(self, step_name: str, flow: Any, inputs: Any = None) -> Callable[..., Any] | None:
        """Run before the step; a function that is returned runs in its place, with flow and inputs."""
        return None

    def post_step(self, step_name: str, flow: Any, exception: Exception | None = None) -> Any:
        """Run after the step.

        Returns
        -------
        What the step is to have raised, None when it is to have succeeded; or a pair of this and of
        arguments for ``self.next`` (an empty dict: those of the step).
        """
        return exception


class _AroundStep(UserStepDecorator):
    """What `user_step_decorator` makes of a generator function."""

    airloom_function: ClassVar[Around]

    def init(self, *positional: Any, **arguments: Any) -> None:
        """Keep the arguments: they are the generator's ``attributes``."""
        self._attributes = arguments
        self._running: Generator[Any, None, Any] | None = None

    def pre_step(self, step_name: str, flow: Any, inputs: Any = None) -> Callable[..., Any] | None:
        """Run up to the yield."""
        function = type(self).airloom_function
        takes = len(inspect.signature(function).parameters)
        arguments = (step_name, flow, inputs, self._attributes)[:takes]
        self._running = cast("Generator[Any, None, Any]", function(*arguments))
        try:
            given = next(self._running)
        except StopIteration:
            self._running, self.skip_step = None, True
            return None
        if isinstance(given, dict):
            self.skip_step = given or True
            return None
        return cast("Callable[..., Any] | None", given)

    def post_step(self, step_name: str, flow: Any, exception: Exception | None = None) -> Any:
        """Run from the yield to the end."""
        if self._running is None:
            return exception
        try:
            if exception is None:
                next(self._running)
            else:
                self._running.throw(exception)
        except StopIteration as ended:
            return ended.value
        raise GraphError(
            f"the decorator {type(self).__name__} yields more than once",
            where=self.airloom_written.place,
            mend="yield once: what comes before runs before the step, what comes after runs after it.",
        )


def user_step_decorator(function: Around) -> type[UserStepDecorator]:
    """Make a step decorator of a generator function that yields once.

    The function takes ``step_name``, ``flow`` and, as far as it wants them, ``inputs`` (None but in a
    join) and ``attributes``, the arguments that the decorator is written with. The step runs at the
    yield, where its exception comes out; one that is not raised again is forgotten and the step
    has succeeded. To yield a function runs it instead of the step, to yield `USER_SKIP_STEP` or
    arguments for ``self.next`` skips the step.

    Raises
    ------
    FlowError
        When it is something else than a generator function.
    """
    if not inspect.isgeneratorfunction(function):
        raise FlowError(
            f"@user_step_decorator stands on {getattr(function, '__name__', function)!r}, which has no yield",
            where=caller(),
            mend="write a function with one yield, at which the step runs.",
        )
    count = len(inspect.signature(function).parameters)
    if not 2 <= count <= 4:
        raise FlowError(
            f"the step decorator {function.__name__!r} takes {count} arguments",
            where=Place(function.__code__.co_filename, function.__code__.co_firstlineno),
            mend="write def name(step_name, flow, inputs=None, attributes=None).",
        )
    namespace = {
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__,
        "airloom_function": staticmethod(function),
    }
    return type(function.__name__, (_AroundStep,), namespace)


def qualified(cls: type) -> str:
    """Name of a user's decorator in plans and texts: that of its module and its own."""
    module = cls.__module__
    if module == "__main__":  # the flow's file, which tasks import by its name
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or module).stem
    return f"{module}.{cls.__qualname__}"


def known_by(base: type[U]) -> Iterator[type[U]]:
    """All classes that a user has derived from one of ours, in the order of their definition."""
    for child in base.__subclasses__():
        if not child.__module__.startswith("airloom."):
            yield child
        yield from known_by(child)


def make(written: Written) -> Any:
    """Make the object that a user's decorator is, from what was written."""
    cls = cast("type[Any]", written.maker)
    found = object.__new__(cls)
    found.airloom_written = written
    try:
        if cls.__init__ is not object.__init__:
            found.__init__(*written.positional, **written.arguments)
        else:
            found.init(*written.positional, **written.arguments)
    except TypeError as error:
        raise FlowError(
            f"@{cls.__name__}: {error}", where=written.place, mend="look at the arguments of its init."
        ) from error
    return found


def wrappers(declaration: StepDeclaration | None) -> Sequence[Written]:
    """What is to run around a step, innermost first."""
    written = () if declaration is None else declaration.written
    return [one for one in written if one.maker is not None and issubclass(one.maker, UserStepDecorator)]
