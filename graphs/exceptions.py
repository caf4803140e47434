"""What can go wrong with graphs and blocks."""

from collections.abc import Mapping


class GraphsError(Exception):
    """Anything that this app refuses; its text is meant for the user."""


class GraphDocumentError(GraphsError):
    """A JSON document is not a graph that can be read: the text says where and why."""


class GraphInvalidError(GraphsError):
    """A graph can't be saved or run; `node_errors` holds every problem as {node id: {field: message}}."""

    def __init__(self, message: str, *, node_errors: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__(message)
        self.node_errors = {node: dict(fields) for node, fields in node_errors.items()}


class GraphNotFoundError(GraphsError):
    """The user has no such graph, or it has no such version. Somebody else's graph is not there either."""


class DocumentTooLargeError(GraphDocumentError):
    """A body has more bytes than are read."""


class CredentialsInvalidError(GraphsError):
    """References to credentials that a graph has no use for."""


class BlockNotAloneError(GraphsError):
    """A block means nothing outside a graph: it can't be run by itself."""


class UnknownBlockError(GraphsError):
    """No block has this id."""


class BlockError(GraphsError):
    """A block can't do what it was asked; the text becomes its `error` output."""
