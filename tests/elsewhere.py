"""A device that is not the processor, on a machine that has none: torch's `elsewhere`.

It computes, on the processor, with the numbers that the processor would compute with, and refuses
what a GPU refuses: an operation on tensors of two devices, or NumPy's hands in its memory. So
whatever forgets to move its inputs fails here as it would there, and whatever does not can be
compared with the processor bit for bit.

`register` is for good: use it in a process of its own (`python -m tests.on_elsewhere`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _device, backend_registration
from torch.utils._pytree import tree_map

NAME = "elsewhere"

_MAY_MIX = {"copy_", "_to_copy", "to", "type_as", "index", "index_put_", "index_put", "lift_fresh"}
"""Operations that take tensors of two devices: copies, and an index that comes from the processor.
"""


class Elsewhere(torch.Tensor):
    """A tensor of the device; what it holds lies on the processor, in `inner`."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Elsewhere:
        found: Any = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        found.inner = inner
        return found

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        return _run(operation, *arguments, **(named or {}))

    def __deepcopy__(self, memo: Any) -> Any:
        if id(self) not in memo:
            copied: Any = self.detach().clone()
            if isinstance(self, torch.nn.Parameter):
                copied = torch.nn.Parameter(copied, self.requires_grad)
            memo[id(self)] = copied
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Elsewhere, (self.inner.detach(),)

    @property
    def data(self) -> Any:
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        torch.Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self.inner = value.inner

    def __getitem__(self, index: Any) -> Any:
        # torch makes tensors of lists by itself, as `torch.tensor` does; see `register`.
        parts = index if isinstance(index, tuple) else (index,)
        made = tuple(_plain_tensor(p) if isinstance(p, list) else p for p in parts)
        return super().__getitem__(made if isinstance(index, tuple) else made[0])

    def tolist(self) -> Any:
        return self.inner.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(f"cannot convert a tensor on {NAME} to NumPy: copy it to the processor")

    def __repr__(self, **_: Any) -> str:
        return f"{self.inner!r} on {NAME}"

    def __format__(self, how: str) -> str:
        return format(self.inner, how)

    # What libraries ask to see whether two tensors share memory.

    def untyped_storage(self) -> Any:
        return self.inner.untyped_storage()

    def data_ptr(self) -> int:
        return self.inner.data_ptr()


@torch.inference_mode(False)
def _run(operation: Any, *arguments: Any, **named: Any) -> Any:
    """Run an operation on what the tensors hold; its results live where it says, or they did."""
    here: list[torch.Tensor] = []
    there: dict[int, torch.Tensor] = {}
    target: list[torch.device] = []

    def unwrap(value: Any) -> Any:
        if isinstance(value, Elsewhere):
            there[id(value.inner)] = value
            return value.inner
        if isinstance(value, torch.Tensor) and value.ndim:
            here.append(value)
        if isinstance(value, torch.device):
            target.append(value)
            return torch.device("cpu")
        return value

    arguments, named = tree_map(unwrap, arguments), tree_map(unwrap, named)
    name = operation.name().partition("::")[2].partition(".")[0]
    if here and there and name not in _MAY_MIX:
        raise RuntimeError(
            f"{name}: expected all tensors to be on the same device, found {NAME} and cpu"
        )
    out = operation(*arguments, **named)
    if target and target[0].type != NAME:
        return out
    if name == "copy_" and id(arguments[0]) not in there:
        return out

    def wrap(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return there[id(value)] if id(value) in there else Elsewhere(value)

    return tree_map(wrap, out) if there or target else out


_library: Any = None


def register() -> None:
    """Make the device known to torch in this process, and its tensors to its files."""
    global _library
    backend_registration._setup_privateuseone_for_python_backend(NAME)
    _library = torch.library.Library("_", "IMPL")
    _library.fallback(_run, "PrivateUse1")
    torch.serialization.add_safe_globals([Elsewhere])
    # torch.tensor's own way to another device goes round Python, where this one is. `with
    # torch.device(...)` has to know the plain one.
    _device._device_constructors()
    torch.tensor = _tensor


_plain_tensor = torch.tensor


def _tensor(data: Any, *, device: Any = None, **named: Any) -> torch.Tensor:
    made = _plain_tensor(tree_map(_number, data), **named)
    return made if device is None else made.to(device)


def _number(value: Any) -> Any:
    return value.tolist() if isinstance(value, Elsewhere) else value
