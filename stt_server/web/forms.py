"""A multipart form with one audio file and a few words beside it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from aiohttp import BodyPartReader

from stt_server.errors import BadInput, TooLarge
from stt_server.web.bodies import Body, Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

MAX_FIELDS: Final = 1000  # 900 keywords and what else there is
MAX_FIELD_BYTES: Final = 1 << 16
MAX_FIELDS_BYTES: Final = 1 << 19  # of all together: they are in memory


@contextmanager
def opened_form(file_field: str = "file") -> Iterator[Form]:
    """A form to be read, its file closed in the end."""
    form = Form(file_field)
    try:
        yield form
    finally:
        form.close()


class Form:
    """The form's text fields in order and its one file, spooled."""

    def __init__(self, file_field: str = "file") -> None:
        self._file_field = file_field
        self.fields: list[tuple[str, str]] = []
        self.file: IO[bytes] | None = None
        self._fields_bytes = 0

    async def read(self, request: web.Request, bound: int, wait_s: float) -> None:
        """Raises BadInput for what is no such form, TooLarge, TimedOut."""
        if request.content_type != "multipart/form-data":
            raise BadInput(f"Send a form (multipart/form-data) with the audio in the field `{self._file_field}`.")
        try:
            reader = await request.multipart()
        except (AssertionError, ValueError) as error:
            raise BadInput("The form's Content-Type has no valid boundary.") from error
        pace = Pace(request.content, wait_s)
        while (part := await pace.before(reader.next())) is not None:
            if not isinstance(part, BodyPartReader) or not part.name:
                raise BadInput("The form has a part without a name.")
            if part.name == self._file_field:
                await self._take_file(part, bound, pace)
            else:
                await self._take_field(part, pace)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    async def _take_file(self, part: BodyPartReader, bound: int, pace: Pace) -> None:
        if self.file is not None:
            raise BadInput("The form has more than one file; send one request for each.", field=self._file_field)
        self.file = await Body(part, bound, pace).spooled()

    async def _take_field(self, part: BodyPartReader, pace: Pace) -> None:
        if len(self.fields) >= MAX_FIELDS:
            raise BadInput(f"The form has more than {MAX_FIELDS} fields.")
        value = b"".join([piece async for piece in Body(part, MAX_FIELD_BYTES, pace).pieces()])
        self._fields_bytes += len(value)
        if self._fields_bytes > MAX_FIELDS_BYTES:
            raise TooLarge(f"The fields beside the file are larger than the {MAX_FIELDS_BYTES >> 10} KiB allowed.")
        self.fields.append((part.name or "", value.decode("utf-8", "replace")))
