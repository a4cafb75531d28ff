"""Cases of the other kinds, each as a new `doorlight`."""

from __future__ import annotations

from .cases import Case, Material, Random, kind
from .logs import log, repair
from .models import manifest, model
from .names import name, no_file
from .pictures import bomb, exif, folder, picture
from .settings import settings, settings_paths
from .videos import sizes, video


@kind(share=4, waits=True)
def process(rng: Random, material: Material) -> Case:
    """A case of another kind as a new `doorlight`, with different locales."""
    others = [
        picture,
        bomb,
        folder,
        video,
        sizes,
        settings,
        settings_paths,
        log,
        repair,
        name,
        model,
        manifest,
        no_file,
        exif,
    ]
    case: Case = rng.choice(others)(rng, material)
    environ = rng.choice(({}, {"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"PYTHONUTF8": "1"}, {"PYTHONDEVMODE": "1"}))
    return case._replace(process=True, limit_s=max(60.0, case.limit_s), environ=dict(environ))
