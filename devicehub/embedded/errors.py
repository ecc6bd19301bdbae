"""What can keep the embedded servers from running, each in one line a person can act on."""


class EmbeddedError(Exception):
    """Something the user can mend; the message says how."""


class ServerMissing(EmbeddedError):
    """There is no server program here that runs."""


class ServerFailed(EmbeddedError):
    """The server program ended, or did not get ready in time."""


class FolderInUse(EmbeddedError):
    """Another process still works in the folder."""


class PortBusy(EmbeddedError):
    """The port that was asked for belongs to someone else."""
