"""What the parity tests share: images, and the comparison of two nets' logits."""

import jax
import numpy as np

from medadv_jax import models
from medadv_jax.models import pretrained


def images(side):
    """Three images of unlike brightness, contrast and grain: noise alone would pool to the same."""
    rng = np.random.default_rng(0)
    coarse = (
        rng.normal(size=(3, 8, 8, 3)).repeat(side // 8 + 1, axis=1).repeat(side // 8 + 1, axis=2)
    )
    fine = rng.normal(size=(3, side, side, 3)) * np.reshape([0.1, 0.5, 1.0], (3, 1, 1, 1))
    brightness = rng.normal(size=(3, 1, 1, 3))
    return (coarse[:, :side, :side] + fine + brightness).astype(np.float32)


def calibrate(torch, net, side):
    """Gives BatchNorm the statistics of a batch, so that the signal lives, and random scales."""
    generator = torch.Generator().manual_seed(1)
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.bias.normal_(0, 0.2, generator=generator)
        net.train()(torch.from_numpy(images(side)).permute(0, 3, 1, 2))
        for norm in norms:
            norm.running_mean.add_(0.1 * torch.randn(norm.running_mean.shape, generator=generator))
            norm.running_var.mul_(
                0.8 + 0.4 * torch.rand(norm.running_var.shape, generator=generator)
            )
    return net.eval()


def torch_logits(torch, net, side):
    with torch.no_grad():
        return net(torch.from_numpy(images(side)).permute(0, 3, 1, 2)).numpy()


def assert_equal_logits(name, state, theirs, side, **options):
    """Ours equal theirs within 1e-4 of their scale, and theirs tell the images apart."""
    model = models.create(name, theirs.shape[-1], **options)
    variables = pretrained.convert(model, state)
    ours = np.asarray(jax.jit(model.apply)(variables, images(side)))
    scale = np.abs(theirs).max()
    error, spread = np.abs(ours - theirs).max() / scale, np.ptp(theirs, axis=0).max() / scale
    print(f"{name} at {side}: error {error:.1e}, spread between images {spread:.2f} of the scale")
    assert spread > 0.05
    assert error < 1e-4
