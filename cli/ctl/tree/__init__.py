"""Keys as a tree: their names are cut at a delimiter, as paths are."""
