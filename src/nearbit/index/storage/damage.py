"""What is wrong with the content of an index file, said by those who read rows; the store adds the name of the file."""

from nearbit.errors import NearbitError


class Damage(NearbitError):
    """Stored content that no nearbit wrote; becomes an `IndexFileError` that names the file."""
