"""Report pages, charts, image grids, sound players, and result tables with their provenance."""
