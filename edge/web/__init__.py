"""The page in the browser: `doorlight web`. A service of its own that has no camera, no pins and no write access."""
