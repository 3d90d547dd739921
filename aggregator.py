"""Entry of the command line: hands over to `lib.cli`."""

import sys

from lib import scrubber
from lib.cli import main

if __name__ == "__main__":
    scrubber.install()
    sys.exit(main(sys.argv[1:]))
