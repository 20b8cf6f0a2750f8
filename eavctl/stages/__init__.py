"""The work of each subcommand as one function, for scripts and notebooks too."""
