"""Run the command `doorlight` as `python -m edge`."""

import sys

from .cli import main

sys.exit(main())
