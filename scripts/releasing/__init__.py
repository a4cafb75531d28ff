"""Make and sign bundles for `doorlight update`. Needs Python only."""
