"""Pages, charts, grids, players, and tables that say where they are from."""
