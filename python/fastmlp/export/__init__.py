"""Export of trained models for other programs: ONNX, NumPy's NPZ, a C header."""

from fastmlp.export.c_code import to_c
from fastmlp.export.check import check
from fastmlp.export.npz import to_npz
from fastmlp.export.onnx_graph import to_onnx

__all__ = ["check", "to_c", "to_npz", "to_onnx"]


def __dir__() -> list[str]:
    return __all__
