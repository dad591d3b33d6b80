"""Training that is interrupted between two epochs, as by a kill."""


class Interrupted(Exception):
    """Raised from the progress callback."""


def stop_after(epochs):
    """Return a progress callback that interrupts the training of a hash network after so many epochs."""

    def progress(stage, done, total):
        if stage.startswith("Training") and done == epochs:
            raise Interrupted(stage)

    return progress
