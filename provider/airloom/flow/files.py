"""IncludeFile: a parameter that is a file, which travels with the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from airloom.digests import digest_of
from airloom.errors import ParameterError, Place
from airloom.flow.configs import ParameterContext
from airloom.flow.parameters import SCHEMAS, Parameter
from airloom.plan import ParameterPlan, ParameterType


class IncludeFile(Parameter):
    """A file that travels with the run: its bytes are kept in the store, its content is the value.

    Parameters
    ----------
    default
        Path, relative to the folder of the flow or to the working folder.
    is_text, encoding
        Text is decoded (UTF-8 when nothing is said); otherwise the value is bytes.
    parser
        Called with the content; its result is the value.
    """

    _file = True

    def __init__(
        self,
        name: str,
        default: Any = None,
        is_text: bool = True,
        encoding: str | None = None,
        required: bool | None = None,
        help: str | None = None,  # noqa: A002 - Metaflow's name
        parser: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(name, default=default, type=str, help=help, required=required)
        self.is_text = is_text
        self.encoding = encoding
        self.parser = parser

    def _kind(self, given: Any) -> ParameterType:
        return "file"

    def to_plan(self, context: ParameterContext, folder: Path) -> ParameterPlan:
        """Plan of this parameter, with the digest of the default file's bytes."""
        return self.read(context, folder)[0]

    def read(self, context: ParameterContext, folder: Path) -> tuple[ParameterPlan, bytes | None]:
        """Plan of this parameter and the bytes of the default file, which is read once for both.

        Raises
        ------
        ParameterError
            When there is no such file, it cannot be read, or a callable default fails.
        """
        path = self._given(context)
        found = None if path is None else find_file(self.name, str(path), folder, self.place)
        try:
            data = None if found is None else found.read_bytes()
        except OSError as error:
            raise self.refused(f"its file cannot be read: {error}", "make it readable.") from None
        plan = ParameterPlan(
            name=self.name,
            attribute=self.attribute,
            type="file",
            schema=dict(SCHEMAS["file"]),
            required=self.required,
            default=None if found is None else found.name,
            help=self.help,
            is_text=self.is_text,
            encoding=self.encoding,
            digest=None if data is None else digest_of([data]),
            line=self.place.line or 0,
        )
        return plan, data

    def content(self, data: bytes) -> Any:
        """Value of the parameter for these bytes."""
        try:
            value: Any = data.decode(self.encoding or "utf-8") if self.is_text else data
        except (UnicodeDecodeError, LookupError) as error:
            raise self.refused(
                f"the file is no text in {self.encoding or 'utf-8'} ({error})",
                "name its encoding, or write is_text=False.",
            ) from None
        return value if self.parser is None else self.parser(value)


def find_file(name: str, path: str, folder: Path, place: Place | str) -> Path:
    """File of an IncludeFile: beside the flow, or in the working folder.

    Raises
    ------
    ParameterError
        When there is no such file.
    """
    for base in (folder, Path()):
        candidate = base / Path(path).expanduser()
        if candidate.is_file():
            return candidate
    raise ParameterError(
        f"parameter {name!r}: the file {path!r} does not exist",
        where=place,
        mend=f"give a path from the flow's folder or from the working folder ({Path.cwd()}).",
    )
