"""A Predict as a torch module: attacks written for torch meet the very network that ours meet."""

from typing import Any

import jax
import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from experiments.cost import Cost


class TorchPredict(torch.nn.Module):
    """Maps images `(b, c, h, w)` to logits `(b, k)` by a Predict, and counts what is asked of it.

    Both passes are compiled by jax. The network costs the same whoever attacks it, so that times
    differ by the attacks alone. Batches are padded to a power of 2 or 1.5 times one: attacks that
    drop images one by one would have a program compiled for every size.

    Args:
      predict: The Predict.
      cost: What it is counted in.
    """

    def __init__(self, predict: Any, cost: Cost):
        super().__init__()
        self.predict, self.cost = predict, cost
        self.device = torch.nn.Parameter(torch.zeros(()), requires_grad=False)  # libraries ask it

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits; torch differentiates them by the images."""
        return _Call.apply(images, self)  # pyright: ignore[reportReturnType]


class _Call(torch.autograd.Function):
    """One evaluation of a Predict, with its pullback kept where torch will want a gradient."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, module: TorchPredict) -> torch.Tensor:
        count, pixels = len(images), _padded(np.moveaxis(images.detach().numpy(), 1, -1))
        if not ctx.needs_input_grad[0]:
            module.cost.forwards += count
            return _tensor(_evaluate(module.predict, pixels), count)
        logits, ctx.pull = _linearize(module.predict, pixels)
        ctx.cost = module.cost
        return _tensor(logits, count)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> Any:
        count = len(slopes[0])
        ctx.cost.gradients += count
        (gradient,) = _pull(ctx.pull, _padded(slopes[0].numpy()))
        return _tensor(np.moveaxis(np.asarray(gradient), -1, 1), count), None


_evaluate = jax.jit(lambda predict, images: predict(images))
_linearize = jax.jit(lambda predict, images: jax.vjp(predict, images))
_pull = jax.jit(lambda pull, slopes: pull(slopes))


def _padded(rows: np.ndarray) -> np.ndarray:
    """Adds rows of zeros up to the next size that has a program."""
    whole = 1 << (len(rows) - 1).bit_length()
    size = whole * 3 // 4 if len(rows) <= whole * 3 // 4 else whole
    return np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]), np.float32)])


def _tensor(values: Any, count: int) -> torch.Tensor:
    return torch.tensor(np.array(values)[:count])
