"""Shared libraries a bare machine lacks, lent to a server from the wheels that carry them."""

import os
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

# pycurl's wheel carries a whole libcurl, with the OpenSSL it needs.
LENDER = "pycurl"
SEARCH_PATH = "LD_LIBRARY_PATH"


def files_of(wheel: str, pattern: str) -> list[Path]:
    """The files of an installed wheel whose path matches `pattern`; the wheel itself is never imported."""
    try:
        files = distribution(wheel).files or []
    except PackageNotFoundError:
        return []
    matching = (Path(str(file.locate())).resolve() for file in files if re.fullmatch(pattern, str(file)))
    return [path for path in matching if path.exists()]


def lend(soname: str, folder: Path) -> dict[str, str] | None:
    """Link the lender's `soname` into `folder`; the environment in which a program finds it, None without one.

    The wheel's own folder is searched too: its libraries find each other there, not beside the link.
    """
    stem, _, version = soname.partition(".so")
    found = files_of(LENDER, rf"{LENDER}\.libs/{re.escape(stem)}(-\w+)?\.so{re.escape(version)}(\..*)?")
    if not found:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{soname}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(found[0])
    draft.replace(folder / soname)
    places = [str(folder.resolve()), str(found[0].parent), os.environ.get(SEARCH_PATH, "")]
    return {SEARCH_PATH: ":".join(filter(None, places))}
