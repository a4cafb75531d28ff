"""Run the command `doorlight` as `python -m edge`, on a machine where the service is not installed."""

import sys
from pathlib import Path

from edge.cli import main
from edge.commands import options

options.SERVICE_SETTINGS = Path("/nonexistent/doorlight.toml")
sys.exit(main())
