"""Shared libraries a bare machine lacks, lent to a server from the wheels that carry them."""

import os
import sys
from pathlib import Path

# pycurl's wheel carries a whole libcurl, with the OpenSSL it needs.
LENDER = "pycurl.libs"
SEARCH_PATH = "LD_LIBRARY_PATH"


def packaged(pattern: str) -> list[Path]:
    """The files of installed packages whose path matches `pattern`; no package is imported for it."""
    return [found for place in sys.path for found in sorted(Path(place).glob(pattern))]


def lend(soname: str, folder: Path) -> dict[str, str] | None:
    """Link the lender's `soname` into `folder`; the environment in which a program finds it, None without one.

    The wheel's own folder is searched too: its libraries find each other there, not beside the link.
    """
    stem, _, version = soname.partition(".so")
    found = packaged(f"{LENDER}/{stem}*.so{version}*")
    if not found:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{soname}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(found[0])
    draft.replace(folder / soname)
    places = [str(folder.resolve()), str(found[0].parent), os.environ.get(SEARCH_PATH, "")]
    return {SEARCH_PATH: ":".join(filter(None, places))}
