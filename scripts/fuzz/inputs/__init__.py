"""What hostile.py throws at Doorlight: each kind makes a case from a random generator, in the working directory.

Most are good files with a few things wrong, as mere noise is refused at the first byte; the rest is made on purpose:
bombs, loops, pipes, devices, playlists, rude servers, escape sequences.
"""

from . import cameras, logs, models, names, pictures, processes, settings, videos
from .cases import KINDS, LIMIT_S, Case, Kind, Material
from .good import LOADED, load_models, material

# The modules are imported for the kinds that they add to KINDS.
__all__ = [
    "KINDS",
    "LIMIT_S",
    "LOADED",
    "Case",
    "Kind",
    "Material",
    "cameras",
    "load_models",
    "logs",
    "material",
    "models",
    "names",
    "pictures",
    "processes",
    "settings",
    "videos",
]
