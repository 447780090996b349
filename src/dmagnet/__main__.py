"""Run the command line: `python -m dmagnet`."""

import sys

from dmagnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
