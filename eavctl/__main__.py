"""``python -m eavctl``."""

from eavctl.cli.app import main

main()
