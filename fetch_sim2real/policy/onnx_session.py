"""ONNX Runtime, as everything here runs it: one thread, from bytes in memory, nothing loaded from elsewhere.

Needs the extra ``onnx``. An ONNX file is data: a graph of operators that ONNX Runtime has, and their weights. Weights
in other files are refused: a path in a file that somebody sent could name any. Operators of other libraries are not
known to ONNX Runtime, and none are loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.validation import shortened
from fetch_sim2real.errors import BundleError, SetupError

_TYPES: Final = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8, "tensor(uint16)": np.uint16, "tensor(int32)": np.int32, "tensor(int64)": np.int64,
}  # fmt: skip
_ERRORS_ONLY: Final = 3


@dataclass(frozen=True)
class Tensor:
    """An input or output of the graph. ``shape`` has None where the size is free."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    def text(self) -> str:
        """Return what it is, for people."""
        return f"'{self.name}' {self.shape_text()} {self.dtype}"

    def shape_text(self) -> str:
        """Return the shape, with ? where the size is free."""
        return f"({', '.join('?' if size is None else str(size) for size in self.shape)})"


def require_onnx() -> Any:
    """Return the package ``onnx``. SetupError without the extra."""
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise SetupError(
            f"the Python package '{error.name}' is not installed, which ONNX needs: "
            "pip install 'fetch-sim2real[onnx]', or in a clone EXTRAS=onnx make venv"
        ) from None
    return onnx


class OnnxSession:
    """Runs one ONNX graph. Not for threads to share."""

    def __init__(self, model: bytes, file: str) -> None:
        """``file`` names it in errors. BundleError if it cannot be run."""
        onnx = require_onnx()
        import onnxruntime

        _require_closed(onnx, model, file)
        options = onnxruntime.SessionOptions()
        # One frame at a time on a small network: more threads only wait for each other, and spin meanwhile.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base but this
            raise BundleError(
                file, f"ONNX Runtime {onnxruntime.__version__} cannot run it ({shortened(error, 200)}). Export it with "
                "operators and an opset that this version knows"
            ) from error  # fmt: skip
        self.inputs = {tensor.name: tensor for tensor in map(_tensor, self._session.get_inputs())}
        self.outputs = {tensor.name: tensor for tensor in map(_tensor, self._session.get_outputs())}

    def run(self, outputs: list[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the ``outputs`` named, computed from ``inputs`` by name."""
        result: list[NDArray[Any]] = self._session.run(outputs, inputs)
        return result


def _tensor(described: Any) -> Tensor:
    shape = tuple(size if isinstance(size, int) else None for size in described.shape)
    return Tensor(described.name, shape, np.dtype(_TYPES.get(described.type, np.void)))


def _require_closed(onnx: Any, model: bytes, file: str) -> None:
    try:
        proto = onnx.load_model_from_string(model)
    except Exception as error:  # protobuf's, which has changed its name
        raise BundleError(
            file, f"is no ONNX file ({shortened(error)}): expected what torch.onnx.export writes"
        ) from error
    outside = [tensor.name for tensor in _weights(onnx, proto) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise BundleError(
            file, f"keeps {len(outside)} weights in other files, the first is '{outside[0]}'; expected all in one: "
            "onnx.save(onnx.load(FILE), FILE) brings them in"
        )  # fmt: skip


def _weights(onnx: Any, message: Any) -> Iterator[Any]:
    """Every tensor in ``message``, in subgraphs, functions and attributes too."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, Iterable) else (value,):
                if isinstance(part, onnx.TensorProto):
                    yield part
                else:
                    yield from _weights(onnx, part)
