"""The inputs: each kind is a function that makes a case from a random generator, in the working directory.

Most inputs are valid files with a few errors, since random bytes are rejected at once. The others are made on purpose:
huge pictures, loops, pipes, devices, playlists, broken servers, escape sequences.
"""

# The modules are imported because they add their kinds to KINDS.
from . import cameras, logs, models, names, pictures, processes, settings, videos
from .cases import KINDS, LIMIT_S, Case, Kind, Material
from .good import LOADED, load_models, material

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
