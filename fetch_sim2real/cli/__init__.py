"""The command `fetch-sim2real` and its subcommands."""
