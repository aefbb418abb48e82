"""Material points: how gradient and flux are packed, the interface of whatever answers at a point, and the laws."""
