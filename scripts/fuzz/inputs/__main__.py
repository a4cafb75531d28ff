"""Write the valid files into one file: python -m fuzz.inputs FILE."""

import pickle
import sys
from pathlib import Path

from .good import make_material

Path(sys.argv[1]).write_bytes(pickle.dumps(tuple(make_material())))
