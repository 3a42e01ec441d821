"""Tensors that lie on several devices: named, not made."""

from .._absent import absent
from ..device_mesh import DeviceMesh, init_device_mesh

__all__ = ["DeviceMesh", "init_device_mesh"]
__all__ += absent(
    globals(),
    classes="DTensor Partial Placement Replicate Shard",
    functions="distribute_module distribute_tensor empty full ones rand randn zeros",
)
