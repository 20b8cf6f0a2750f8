"""Exit codes of the command line: the same for every command."""

DONE = 0
BUG = 1
WRONG_USAGE = 2
BAD_DATA = 3  # data that cannot be used, a full disk, a missing file
INTERRUPTED = 130
