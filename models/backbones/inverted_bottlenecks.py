"""What networks of inverted bottlenecks (Sandler et al. 2018) share: padding, blocks, the two ends.

Their published BatchNorm is folded into the convolutions, so a trunk has none: it runs the same in
training and in inference and fine-tunes at any batch size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return how many pixels TensorFlow's "SAME" padding puts before and after `size` pixels.

    In total `max((ceil(n / s) - 1) * s + k - n, 0)`, the smaller half in front.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding, which is asymmetric at stride 2.

    The weights were trained so: symmetric padding would shift every feature map by half a pixel.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `[B, C, H, W]` into `[B, C', ceil(H / s), ceil(W / s)]`."""
        (kernel_h, kernel_w), (stride_h, stride_w) = self.kernel_size, self.stride
        height, width = input.shape[-2:]
        top, bottom = same_padding(height, kernel_h, stride_h)
        left, right = same_padding(width, kernel_w, stride_w)
        if top == bottom and left == right:
            # Symmetric: let the convolution pad, which saves a copy of the feature map.
            return F.conv2d(input, self.weight, self.bias, self.stride, (top, left), 1, self.groups)
        padded = F.pad(input, (left, right, top, bottom))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)


class Bottleneck(nn.Module):
    """Expand, filter, project: each convolution but the last is activated.

    Args:
        convolutions: in order.
        residual: whether the input is added to what they give.
        activation: of this kind of network.
    """

    def __init__(
        self, convolutions: Iterable[SameConv2d], residual: bool, activation: Activation
    ) -> None:
        super().__init__()
        self.conv = nn.ModuleList(convolutions)
        self.residual, self.activation = residual, activation

    def forward(self, hidden: Tensor) -> Tensor:
        """Map `[B, C, H, W]` to `[B, C', ceil(H / s), ceil(W / s)]`."""
        out = hidden
        for conv in list(self.conv)[:-1]:
            out = self.activation(conv(out))
        out = self.conv[-1](out)
        return hidden + out if self.residual else out


class BottleneckTrunk(nn.Module):
    """A trunk up to its head, with or without the ImageNet classifier `fc` it was trained with.

    Args:
        activation: of this kind of network.
    """

    head: SameConv2d
    fc: nn.Linear | None
    out_channels: int

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation = activation

    def add_head(self, channels: int, head_channels: int, classes: int | None) -> None:
        """Add what follows the blocks.

        Args:
            channels: of the last block.
            head_channels: of the feature map handed to the decoder.
            classes: of the classifier; None for none.
        """
        self.head = SameConv2d(channels, head_channels, 1)
        self.fc = None if classes is None else nn.Linear(head_channels, classes)
        self.out_channels = head_channels

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Return the last block's output, which is not activated."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the head's feature map `[B, head_channels, ceil(H / 32), ceil(W / 32)]`.

        Args:
            images: RGB `[B, 3, H, W]`, as for `features`.
        """
        return self.activation(self.head(self.features(images)))

    def classify(self, images: Tensor) -> Tensor:
        """Return ImageNet logits `[B, classes]`.

        Raises:
            ValueError: the trunk was built without its classifier.
        """
        if self.fc is None:
            raise ValueError("this trunk was built with with_classifier=False")
        logits: Tensor = self.fc(self(images).mean((2, 3)))
        return logits

    def load_weights(self, state: Mapping[str, Tensor]) -> None:
        """Load weights by this network's names; the classifier's are skipped where it has none.

        Raises:
            RuntimeError: a tensor is missing, unexpected or of another shape.
        """
        wanted = {
            name: tensor.to(torch.float32)
            for name, tensor in state.items()
            if self.fc is not None or not name.startswith("fc.")
        }
        self.load_state_dict(wanted)
