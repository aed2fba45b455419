"""`python -m secondlook.cloud.training`."""

import sys

from secondlook.cloud.training import main

if __name__ == "__main__":
    sys.exit(main())
