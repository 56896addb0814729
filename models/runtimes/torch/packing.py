"""Linear layers and convolutions packed once for the processor's fastest kernels.

torch's own float32 linear layers leave half of an AMD processor idle; oneDNN's, with weights in the
layout its kernels read, do not. The operators are those that `torch.compile` emits when it freezes
a model; called directly they need no compiler on the user's machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.api.device import Precision
from models.runtimes.processor import has_int8, sums_of_bytes_are_exact

Activation = Literal["none", "relu", "gelu", "gelu_tanh"]

Linear = Callable[[Tensor], Tensor]
"""Maps `[..., in]` to `[..., out]`, the activation included."""

_ONEDNN_NAMES: dict[Activation, tuple[str, str]] = {
    "none": ("none", ""),
    "relu": ("relu", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
}


def activate(hidden: Tensor, activation: Activation) -> Tensor:
    """Apply an activation by its name."""
    if activation == "none":
        return hidden
    if activation == "relu":
        return hidden.relu()
    return F.gelu(hidden, approximate="tanh" if activation == "gelu_tanh" else "none")


def _packs(weight: Tensor) -> bool:
    """Whether oneDNN multiplies by these weights: they are the processor's."""
    return weight.device.type == "cpu" and torch.backends.mkldnn.is_available()


def pack_linear(
    weight: Tensor,
    bias: Tensor | None,
    precision: Precision,
    activation: Activation = "none",
    many_rows: bool = False,
) -> Linear:
    """Return a linear layer for inference.

    Args:
        weight: `[out, in]`.
        bias: `[out]`.
        precision: `"int8"` and `"fp32"` take and give float32, `"bf16"` bfloat16.
        activation: applied to the result.
        many_rows: hundreds of rows a call are the rule. Then it pays in int8 to make the activation
            part of the product, although this kernel does not quantise its input by itself.
    """
    if precision == "int8" and many_rows and activation.startswith("gelu") and has_int8():
        return _int8_linear_gelu(weight, bias, activation)
    if precision == "int8":
        return _int8_linear(weight, bias, activation)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    weight = weight.detach().to(dtype)
    bias = None if bias is None else bias.detach().to(dtype)
    if not _packs(weight):
        return lambda hidden: activate(F.linear(hidden, weight, bias), activation)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
    name, algorithm = _ONEDNN_NAMES[activation]
    operator = torch.ops.mkldnn._linear_pointwise.default

    def linear(hidden: Tensor) -> Tensor:
        out: Tensor = operator(hidden, packed, bias, name, [], algorithm)
        return out

    return linear


def _int8_linear(weight: Tensor, bias: Tensor | None, activation: Activation) -> Linear:
    """Weights in int8, one scale an output channel; activations in uint8, a scale a call."""
    weight = weight.detach().float()
    scale = weight.abs().amax(1).clamp_min(1e-12) / 127
    zeros = torch.zeros(len(weight), dtype=torch.int64)
    engine = torch.backends.quantized.engine
    engines = torch.backends.quantized.supported_engines
    torch.backends.quantized.engine = "fbgemm" if "fbgemm" in engines else "qnnpack"
    try:
        with warnings.catch_warnings():
            # torch moves its quantisation tools elsewhere; the kernels stay.
            warnings.simplefilter("ignore")
            quantised = torch.quantize_per_channel(weight, scale.double(), zeros, 0, torch.qint8)
            packed = torch.ops.quantized.linear_prepack(
                quantised, None if bias is None else bias.detach().float()
            )
    finally:
        torch.backends.quantized.engine = engine
    seven_bits = not sums_of_bytes_are_exact()
    fused = activation == "relu"
    operator = (
        torch.ops.quantized.linear_relu_dynamic.default
        if fused
        else torch.ops.quantized.linear_dynamic.default
    )
    rest: Activation = "none" if fused else activation

    def linear(hidden: Tensor) -> Tensor:
        return activate(operator(hidden, packed, seven_bits), rest)

    return linear


def _int8_linear_gelu(weight: Tensor, bias: Tensor | None, activation: Activation) -> Linear:
    """As `_int8_linear`, in oneDNN's kernel; the results differ by float32 rounding."""
    weight = weight.detach().float()
    scale = weight.abs().amax(1).clamp_min(1e-12) / 127
    quantised = (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(quantised.contiguous(), None)
    zeros = torch.zeros(len(weight), dtype=torch.int64)
    bias = None if bias is None else bias.detach().float()
    name, algorithm = _ONEDNN_NAMES[activation]
    operator = torch.ops.onednn.qlinear_pointwise.default

    def linear(hidden: Tensor) -> Tensor:
        low, high = (value.item() for value in torch.aminmax(hidden))
        low, high = min(low, 0.0), max(high, 0.0)
        step = max((high - low) / 255, 1e-12)
        zero = round(-low / step)
        rounded = torch.quantize_per_tensor(hidden, step, zero, torch.quint8).int_repr()
        out: Tensor = operator(
            rounded,
            step,
            zero,
            packed,
            scale,
            zeros,
            bias,
            1.0,
            0,
            torch.float32,
            name,
            [],
            algorithm,
        )
        return out

    return linear


class PackedLinear(nn.Module):
    """A packed layer in a linear layer's place, inside a network of another library."""

    def __init__(self, weight: Tensor, bias: Tensor | None, precision: Precision) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._linear = pack_linear(weight, bias, precision)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map `[..., in_features]` to `[..., out_features]`."""
        return self._linear(hidden.to(self._dtype))


def pack_network(network: nn.Module, precision: Precision, vocabulary: str) -> None:
    """Pack every linear layer of a network that is not going to learn any more, in place.

    Args:
        network: float32; transformers' `Conv1D` layers count as linear.
        precision: `"bf16"` also makes everything else bfloat16.
        vocabulary: name of the layer that scores words, which `"bf16"` leaves float32: three digits
            are too few to rank words by.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Linear):
            weight = module.weight
        elif type(module).__name__ == "Conv1D":
            weight = cast(Tensor, module.weight).T
        else:
            continue
        how: Precision = "fp32" if precision == "bf16" and name == vocabulary else precision
        layer = PackedLinear(weight, cast("Tensor | None", module.bias), how)
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, layer)
    if precision == "bf16":
        network.to(torch.bfloat16)


class PackedConvolution:
    """A convolution with bias, its activation or residual sum fused; no dilation.

    Args:
        weight: `[out, in / groups, kernel, kernel]`.
        bias: `[out]`.
        stride: in pixels, the same both ways.
        groups: 1, or the number of channels for a depthwise convolution.
        dtype: float32 or bfloat16.
        relu: clamp the result at zero.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        stride: int,
        groups: int,
        dtype: torch.dtype,
        relu: bool = False,
    ) -> None:
        self._weight = weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        self._bias = bias.detach().to(dtype)
        self._stride, self._groups, self._relu = [stride, stride], groups, relu
        self._packed: Tensor | None = None

    def __call__(self, images: Tensor, padding: int, residual: Tensor | None = None) -> Tensor:
        """Convolve `[B, C, H, W]` (channels last), padded by `padding` on all sides.

        Args:
            images: the input.
            padding: in pixels.
            residual: added to the result, which is written over it.
        """
        pad = [padding, padding]
        if not _packs(self._weight):
            out = F.conv2d(images, self._weight, self._bias, self._stride, padding, 1, self._groups)
            out = out if residual is None else out + residual
            return out.relu() if self._relu else out
        if self._packed is None:
            # The best layout depends on the pictures' size: known at the first call.
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(
                self._weight, pad, self._stride, [1, 1], self._groups, list(images.shape)
            )
        common = (self._packed, self._bias, pad, self._stride, [1, 1], self._groups)
        if residual is None:
            name = "relu" if self._relu else "none"
            return torch.ops.mkldnn._convolution_pointwise.default(images, *common, name, [], "")
        unary = "relu" if self._relu else None
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            residual, images, *common, "add", 1.0, unary, [], None
        )
