"""Entry of the command line: hands over to `lib.cli.main`."""

import gc
import sys

from lib.cli.main import main
from lib.security import redaction

if __name__ == "__main__":
    # The libraries make some 120,000 objects that stay; going through them for garbage again and
    # again while they load takes a tenth of a second and more.
    gc.set_threshold(200_000, 20, 100)
    redaction.install()
    sys.exit(main(sys.argv[1:]))
