"""A time series of fields on one mesh as XDMF 3 beside an HDF5 file; ParaView, VisIt and meshio read it."""

import json
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import h5py
import numpy as np

from materials.interface import IntArray
from materials.measures import FloatArray
from solver.results.atomic import write_text
from solver.results.elements import XDMF_TOPOLOGY

_ATTRIBUTE_TYPES = {1: "Scalar", 3: "Vector", 9: "Tensor"}


class XdmfSeries:
    """Fields of accepted steps. The HDF5 file is closed between writes and the XML lists complete steps only.

    Layout of the HDF5 file: /mesh/points (nodes, 3), /mesh/cells (cells, nodes per cell, VTK order), and for every
    step /steps/NNNNNN/{node,cell}/NAME with the step's number and pseudo-time as attributes.
    """

    def __init__(
        self,
        path: Path,
        points: FloatArray,
        cells: IntArray,
        element: str,
        degree: int,
        attributes: Mapping[str, object] | None = None,
    ) -> None:
        """Start a series at `path` (.xdmf), replacing what is there.

        Args:
            path: the XML file; the HDF5 file has the same stem.
            points: node coordinates, (nodes, d).
            cells: nodes of each cell in VTK order, (cells, nodes per cell).
            element: cell shape.
            degree: 1 or 2.
            attributes: what else to say about the mesh; stored as JSON.
        """
        self.path = path
        self.data = path.with_suffix(".h5")
        with h5py.File(self.data, "w") as file:
            file["mesh/points"] = padded(points)
            file["mesh/cells"] = cells.astype(np.int64)
            file["mesh"].attrs["topology"] = XDMF_TOPOLOGY[element, degree]
            file["mesh"].attrs["element"] = element
            file["mesh"].attrs["degree"] = degree
            file["mesh"].attrs["about"] = json.dumps(attributes or {})
            file.create_group("steps")
        self._write_index()

    @classmethod
    def resume(cls, path: Path, keep_through: int, attributes: Mapping[str, object] | None = None) -> "XdmfSeries":
        """Take up a series that an earlier run wrote, without its steps after `keep_through`.

        Raises OSError or KeyError when the HDF5 file is not a series that can be read, or has other `attributes`.
        """
        series = cls.__new__(cls)
        series.path = path
        series.data = path.with_suffix(".h5")
        with h5py.File(series.data, "r+") as file:
            if attributes is not None and json.loads(file["mesh"].attrs["about"]) != attributes:
                raise KeyError("it is that of another point")
            for name in [name for name, group in file["steps"].items() if group.attrs["step"] > keep_through]:
                del file["steps"][name]
        series._write_index()
        return series

    @property
    def topology(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the point and cell arrays."""
        with h5py.File(self.data, "r") as file:
            return file["mesh/points"].shape, file["mesh/cells"].shape

    def steps(self) -> list[int]:
        """Numbers of the steps that are there."""
        with h5py.File(self.data, "r") as file:
            return [int(group.attrs["step"]) for _, group in sorted(file["steps"].items())]

    def append(
        self, step: int, time: float, nodal: Mapping[str, FloatArray], cellwise: Mapping[str, FloatArray]
    ) -> None:
        """Add a step: fields at the nodes (nodes, …) and on the cells (cells, …), scalars, vectors or tensors."""
        with h5py.File(self.data, "r+") as file:
            name = f"steps/{step:06d}"
            if name in file:
                del file[name]
            group = file.create_group(name)
            group.attrs["step"] = step
            group.attrs["time"] = time
            for centre, fields in (("node", nodal), ("cell", cellwise)):
                centred = group.create_group(centre)
                for field, values in fields.items():
                    centred[field] = padded(values)
        self._write_index()

    def _write_index(self) -> None:
        """Write the XML from what the HDF5 file holds."""
        root = ET.Element("Xdmf", Version="3.0")
        domain = ET.SubElement(root, "Domain")
        series = ET.SubElement(domain, "Grid", Name=self.path.stem, GridType="Collection", CollectionType="Temporal")
        with h5py.File(self.data, "r") as file:
            topology = str(file["mesh"].attrs["topology"])
            for name in sorted(file["steps"]):
                group = file["steps"][name]
                grid = ET.SubElement(series, "Grid", Name=f"step {group.attrs['step']}", GridType="Uniform")
                ET.SubElement(grid, "Time", Value=repr(float(group.attrs["time"])))
                cells = file["mesh/cells"]
                self._item(
                    ET.SubElement(
                        grid,
                        "Topology",
                        TopologyType=topology,
                        NumberOfElements=str(cells.shape[0]),
                        NodesPerElement=str(cells.shape[1]),
                    ),
                    cells,
                )
                self._item(ET.SubElement(grid, "Geometry", GeometryType="XYZ"), file["mesh/points"])
                for centre in ("node", "cell"):
                    for field, values in group[centre].items():
                        size = values.shape[1] if values.ndim == 2 else 1
                        attribute = ET.SubElement(
                            grid,
                            "Attribute",
                            Name=field,
                            AttributeType=_ATTRIBUTE_TYPES[size],
                            Center=centre.capitalize(),
                        )
                        self._item(attribute, values)
        ET.indent(root)
        write_text(self.path, '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, "unicode") + "\n")

    def _item(self, parent: ET.Element, dataset: h5py.Dataset) -> None:
        kind = "Int" if dataset.dtype.kind == "i" else "Float"
        item = ET.SubElement(
            parent,
            "DataItem",
            Dimensions=" ".join(str(length) for length in dataset.shape),
            NumberType=kind,
            Precision="8",
            Format="HDF",
        )
        item.text = f"{self.data.name}:{dataset.name}"


def padded(values: FloatArray) -> FloatArray:
    """Scalars (n,), vectors (n, 3) or tensors (n, 9) from (n,), (n, 1), (n, d) or (n, 3, 3), padded by zeros."""
    values = np.asarray(values, dtype=float)
    if values.ndim == 3:
        return values.reshape(len(values), 9)
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim == 2 and values.shape[1] == 2:
        return np.column_stack([values, np.zeros(len(values))])
    return values
