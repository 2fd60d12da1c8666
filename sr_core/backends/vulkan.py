"""The names of this machine's GPUs, as Vulkan's drivers give them."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_MOST = 16
_NAME_AT, _NAME_BYTES = 20, 256  # VkPhysicalDeviceProperties: five uint32, then deviceName
_PROPERTIES_BYTES = 4096  # more than the structure's 824
_TYPE_AT = 16
_RANKS = {2: 0, 1: 1, 3: 2}  # VkPhysicalDeviceType: discrete, integrated, virtual; the rest after them


class _InstanceInfo(ctypes.Structure):
    """VkInstanceCreateInfo."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.c_void_p),
        ("layers", ctypes.c_uint32),
        ("layer_names", ctypes.c_void_p),
        ("extensions", ctypes.c_uint32),
        ("extension_names", ctypes.c_void_p),
    )


_CPU_TYPE = 4  # VK_PHYSICAL_DEVICE_TYPE_CPU
_SOFTWARE = ("swiftshader", "llvmpipe", "lavapipe", "microsoft basic render")


def is_software(name: str) -> bool:
    """Whether a GPU of that name is a CPU that pretends to be one."""
    return any(known in name.lower() for known in _SOFTWARE)


@cache
def first_is_cpu() -> bool:
    """Whether Vulkan's driver itself says so of the first adapter."""
    return bool(found := _adapters()) and found[0][0] == _CPU_TYPE


@cache
def first_adapter() -> str:
    """The GPU that a program which prefers speed takes, or '' where there is no Vulkan."""
    return found[0][1] if (found := _adapters()) else ""


def _adapters() -> list[tuple[int, str]]:
    """(VkPhysicalDeviceType, name) of each, the preferred first."""
    if sys.platform == "darwin":
        return []  # Metal
    try:
        vulkan = ctypes.CDLL("vulkan-1.dll" if sys.platform == "win32" else "libvulkan.so.1")
    except OSError:
        return []
    instance = ctypes.c_void_p()
    info = _InstanceInfo(type=1)  # VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
    if vulkan.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)) != 0:
        return []
    count, devices = ctypes.c_uint32(_MOST), (ctypes.c_void_p * _MOST)()
    found: list[tuple[int, str]] = []
    if vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), devices) >= 0:
        for device in devices[: count.value]:
            properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
            vulkan.vkGetPhysicalDeviceProperties(ctypes.c_void_p(device), properties)
            kind = int.from_bytes(properties.raw[_TYPE_AT:_NAME_AT], sys.byteorder)
            name = properties.raw[_NAME_AT : _NAME_AT + _NAME_BYTES].split(b"\0")[0]
            found.append((kind, name.decode(errors="replace")))
    vulkan.vkDestroyInstance(instance, None)
    return sorted(found, key=lambda entry: _RANKS.get(entry[0], len(_RANKS)))
