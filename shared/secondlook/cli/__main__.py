"""``python -m secondlook.cli``."""

from secondlook.cli.main import main

main()
