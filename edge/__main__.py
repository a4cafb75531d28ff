"""`python -m edge` is the command `doorlight`."""

import sys

from .cli import main

sys.exit(main())
