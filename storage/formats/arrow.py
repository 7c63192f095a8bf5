"""Arrow IPC files and streams (Feather version 2 is one). They carry their types."""

from collections.abc import Mapping

import pyarrow as pa

from afresh.storage.formats.base import Options, check_names, unreadable


class Arrow:
    """Arrow's own form: a file with a footer, or a stream."""

    name = "arrow"
    suffixes = (".arrow", ".feather", ".ipc", ".arrows")
    text = False
    options: frozenset[str] = frozenset()

    def read(self, data: bytes, types: Mapping[str, str], options: Options) -> pa.Table:
        """Decode all of it (see `Format`)."""
        del types, options
        if not len(data):
            raise unreadable("Expected an Arrow file, found an empty file")
        is_file = data.startswith(b"ARROW1")
        try:
            opened = pa.ipc.open_file(data) if is_file else pa.ipc.open_stream(data)
            with opened as reader:
                check_names(reader.schema.names)
                table = reader.read_all()
            table.validate(full=True)  # offsets of a damaged file may point anywhere
        except (pa.ArrowException, OSError, ValueError, EOFError) as error:
            raise unreadable(
                f"Expected an Arrow file, found: {error}", hint="the file is damaged or cut off"
            ) from error
        return table
