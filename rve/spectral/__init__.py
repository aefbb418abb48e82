"""Cells on a regular grid of voxels, solved with the fast Fourier transform; needs no finite-element library."""
