"""The two images, built from the two Dockerfiles by Docker where it answers, else by buildah.

`build_image("service", "v0.1.0")` gives a docker-archive file; warm it costs nothing but reading the sources.
`python -m e2e.images --help` is the same by hand.
"""

from e2e.images.archive import retag
from e2e.images.builder import build_image, clean
from e2e.images.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "Recipe", "build_image", "clean", "retag"]
