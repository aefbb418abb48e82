"""Geometry: generated and imported meshes of parts and of cells, and element tables read from them."""
