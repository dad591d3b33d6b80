"""The commands, one a file; `nearbit.cli.main` finds them by their name."""
