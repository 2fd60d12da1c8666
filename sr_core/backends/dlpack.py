"""DLPack without torch: planes that live on a GPU, borrowed and lent.

    DevicePlane.borrow(obj)   a foreign tensor (PyAV's NVDEC planes, torch, cupy, numpy) as address + strides
    DevicePlane.__dlpack__    our device memory for others (PyAV's `VideoFrame.from_dlpack`, torch, cupy)

The struct layout is DLPack 0.x's DLManagedTensor (dlpack.h), which every producer still offers when
asked for no version. Ownership: a borrowed tensor is given back when its DevicePlane is collected;
memory that we lend belongs to `owner`, kept alive until the consumer calls the deleter.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np

from sr_core.errors import BadInput

CPU, CUDA, CUDA_PINNED = 1, 2, 3  # DLDeviceType
_NAME, _USED_NAME = b"dltensor", b"used_dltensor"
_CODES = {"i": 0, "u": 1, "f": 2}  # DLDataTypeCode


class _Device(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int32), ("id", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    pass


_DELETER = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER))
_CAPSULE_DESTRUCTOR = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

# Prototypes of our own: setting argtypes on ctypes.pythonapi would change them for everybody.
_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_set_name = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_SetName", ctypes.pythonapi))
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _CAPSULE_DESTRUCTOR)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_raw_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_raw_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class DevicePlane:
    """A 2-D or 3-D plane at an address on some device. Slicing rows and columns gives a view.

    Attributes:
        pointer: address of the first sample.
        shape: (rows, columns) or (rows, columns, channels).
        strides: bytes from one index to the next along each axis.
        device: (DLPack device type, device number).
        owner: whatever must live as long as the memory is read.
    """

    def __init__(
        self,
        pointer: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        strides: tuple[int, ...] | None = None,
        device: tuple[int, int] = (CUDA, 0),
        owner: object = None,
    ) -> None:
        self.pointer, self.shape, self.dtype, self.device, self.owner = pointer, shape, dtype, device, owner
        self.strides = strides or contiguous_strides(shape, dtype.itemsize)

    @classmethod
    def borrow(cls, source: Any) -> DevicePlane:
        """Borrow a tensor from any DLPack producer.

        No stream is named, so by the protocol its content is ready for whoever orders itself
        behind the legacy default stream (PyAV accepts nothing else).

        Raises:
            BadInput: not a DLPack producer, or samples that no plane has.
        """
        if isinstance(source, cls):
            return source
        if not hasattr(source, "__dlpack__"):
            raise BadInput(f"{type(source).__name__} is neither a numpy array nor a DLPack tensor")
        capsule = source.__dlpack__()
        managed = ctypes.cast(_get_pointer(capsule, _NAME), ctypes.POINTER(_Managed))
        _set_name(capsule, _USED_NAME)  # from here on it is ours to give back
        loan = _Loan(managed)
        tensor = managed.contents.tensor
        kinds = {(1, 8): np.uint8, (1, 16): np.uint16, (2, 16): np.float16, (2, 32): np.float32}
        kind = kinds.get((tensor.dtype.code, tensor.dtype.bits))
        if kind is None or tensor.dtype.lanes != 1:
            raise BadInput(f"samples of DLPack type {tensor.dtype.code} with {tensor.dtype.bits} bits")
        dtype = np.dtype(kind)
        shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
        strides = None
        if tensor.strides:
            strides = tuple(tensor.strides[axis] * dtype.itemsize for axis in range(tensor.ndim))
        device = (int(tensor.device.type), int(tensor.device.id))
        pointer = int(tensor.data or 0) + int(tensor.byte_offset)
        return cls(pointer, shape, dtype, strides=strides, device=device, owner=loan)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row's samples, without the gap before the next row."""
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize

    @property
    def has_dense_rows(self) -> bool:
        """Whether the samples of one row follow each other, as a 2-D copy needs."""
        return self.strides[1:] == contiguous_strides(self.shape, self.dtype.itemsize)[1:]

    def __getitem__(self, index: tuple[slice, slice]) -> DevicePlane:
        pointer, shape = self.pointer, list(self.shape)
        for axis, part in enumerate(index):
            start, stop, step = part.indices(self.shape[axis])
            if step != 1:
                raise BadInput("a plane on a GPU can be cut, not subsampled")
            pointer += start * self.strides[axis]
            shape[axis] = max(stop - start, 0)
        return DevicePlane(
            pointer, tuple(shape), self.dtype, strides=self.strides, device=self.device, owner=self.owner
        )

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        """Lend the memory. The content is complete already, so `stream` needs no work."""
        managed = _Managed()
        count = len(self.shape)
        shape = (ctypes.c_int64 * count)(*self.shape)
        strides = (ctypes.c_int64 * count)(*(step // self.dtype.itemsize for step in self.strides))
        managed.tensor.data = self.pointer
        managed.tensor.device = _Device(*self.device)
        managed.tensor.ndim = count
        managed.tensor.dtype = _DataType(_CODES[self.dtype.kind], self.dtype.itemsize * 8, 1)
        managed.tensor.shape = ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64))
        managed.tensor.strides = ctypes.cast(strides, ctypes.POINTER(ctypes.c_int64))
        managed.deleter = _forget_in_c
        address = ctypes.addressof(managed)
        _lent[address] = (managed, shape, strides, self)
        return _new_capsule(address, _NAME, _forget_unused_in_c)


class _Loan:
    """A foreign DLManagedTensor; its deleter is called once, when nobody holds this any more."""

    def __init__(self, managed: Any) -> None:
        self._finalizer = weakref.finalize(self, _give_back, managed)
        self._finalizer.atexit = False


def _give_back(managed: Any) -> None:
    if managed.contents.deleter:
        managed.contents.deleter(managed)


_lent: dict[int, tuple[Any, ...]] = {}  # address of the struct -> everything it points to


def _forget(managed: Any) -> None:
    _lent.pop(ctypes.addressof(managed.contents), None)


def _forget_unused(capsule: int) -> None:
    # the capsule is being destroyed: it must be touched by address, never as a Python object
    if _raw_is_valid(capsule, _NAME):
        _lent.pop(_raw_get_pointer(capsule, _NAME), None)


_forget_in_c = _DELETER(_forget)
_forget_unused_in_c = _CAPSULE_DESTRUCTOR(_forget_unused)


def contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Byte strides of a dense row-major array."""
    strides, step = [], itemsize
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))
