"""Writes the good files into the one that is named: python -m virtual_door.rubbish FILE."""

import pickle
import sys
from pathlib import Path

from .good import make_material

Path(sys.argv[1]).write_bytes(pickle.dumps(tuple(make_material())))
