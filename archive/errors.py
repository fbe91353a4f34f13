"""The one exception of this room."""


class ArchiveError(RuntimeError):
    """The archive cannot do what was asked: not there, locked, of another schema, or its rows say otherwise."""
