"""``python -m eavctl``."""

from eavctl.cli.start import main

main()
