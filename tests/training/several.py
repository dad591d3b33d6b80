"""What the processes of a test do that torchrun starts: train tiny data, and in one of them something goes wrong."""

import os
import signal
import sys

from nearbit.cli.main import run
from nearbit.errors import ImageError


def main(fault: str, arguments: list[str]) -> int:
    """Run the command line; process 1 meets the fault at its first image of the third epoch.

    Process 0 writes a checkpoint after each epoch: the one of the first is there, because steps of the second, which
    both take together, came after it. With NEARBIT_TEST_BUCKET gradients are exchanged in buckets of so many bytes.
    """
    from nearbit.training import trainer
    from nearbit.training.distributed import gradients
    from nearbit.training.inputs.feeding import PixelReader

    read = PixelReader.read

    trainer.CHECKPOINT_SECONDS = 0.0
    gradients.LEAST_BYTES = gradients.MOST_BYTES = int(os.environ.get("NEARBIT_TEST_BUCKET", gradients.MOST_BYTES))

    def faulty(self, shown):
        if fault == "none":
            return read(self, shown)
        if os.environ["RANK"] == "1" and shown.epoch == 2:
            if fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ImageError("gone") if fault == "unreadable" else ZeroDivisionError("oh")
        return read(self, shown)

    PixelReader.read = faulty
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
