"""What is looked at in a folder of codes."""


def files(folder):
    """Return what is whole; a leftover stays hidden while another process bears the number of its dead writer."""
    return sorted(file for file in folder.iterdir() if not (file.name.startswith(".") and file.suffix == ".tmp"))


def content(folder):
    """Return the bytes of each file by its name."""
    return {file.name: file.read_bytes() for file in files(folder)}


def stamps(folder):
    """Return when each file was written by its name."""
    return {file.name: file.stat().st_mtime_ns for file in files(folder)}
