"""`python -m nearbit` is the same as the command `nearbit`."""

from nearbit.cli.main import main

if __name__ == "__main__":
    main()
