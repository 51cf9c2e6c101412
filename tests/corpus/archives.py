"""Archives made in tests, good ones and such as nobody should unpack."""

import io
import tarfile
import zipfile
from pathlib import Path


def tar(files: dict[str, bytes], mode: str = "w:gz", *odd: tarfile.TarInfo) -> bytes:
    """A tar of files by name; `odd` members come last and have no bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in odd:
            archive.addfile(member)
    return packed.getvalue()


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A link, device or folder."""
    odd = tarfile.TarInfo(name)
    odd.type, odd.linkname = kind, target
    return odd


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, as an archive would have it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
