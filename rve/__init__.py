"""Representative volume elements: a cell solved at a material point, and its homogenised response."""
