"""The segmentation nets against the same nets of `torch.nn` modules, with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

torch = pytest.importorskip("torch")

from medadv_jax import models  # noqa: E402
from medadv_jax.models import pooling  # noqa: E402

nn = torch.nn
BY_DIMS = {
    2: (nn.Conv2d, nn.BatchNorm2d, nn.ConvTranspose2d, nn.MaxPool2d),
    3: (nn.Conv3d, nn.BatchNorm3d, nn.ConvTranspose3d, nn.MaxPool3d),
}


class ConvBN(nn.Module):
    def __init__(self, inputs, outputs, dims=2, norm=True):
        super().__init__()
        conv, batch_norm, *_ = BY_DIMS[dims]
        self.conv = conv(inputs, outputs, 3, padding=1, bias=not norm)
        self.bn = batch_norm(outputs, eps=1e-3) if norm else nn.Identity()

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class DoubleConv(nn.Module):
    def __init__(self, inputs, outputs, *options):
        super().__init__()
        self.conv1 = ConvBN(inputs, outputs, *options)
        self.conv2 = ConvBN(outputs, outputs, *options)

    def forward(self, x):
        return self.conv2(self.conv1(x))


class UNet(nn.Module):
    def __init__(self, channels, classes, features, dims, norm):
        super().__init__()
        conv, _, transposed, pool = BY_DIMS[dims]
        *levels, bottom = features
        self.depth, self.pool = len(levels), pool(2)
        for i, n in enumerate(levels):
            self.add_module(f"down{i + 1}", DoubleConv(channels, n, dims, norm))
            self.add_module(f"upconv{i + 1}", transposed(features[i + 1], n, 2, 2))
            self.add_module(f"up{i + 1}", DoubleConv(2 * n, n, dims, norm))
            channels = n
        self.bottom = DoubleConv(channels, bottom, dims, norm)
        self.logits = conv(levels[0], classes, 1)

    def forward(self, x):
        part, skips = self.get_submodule, []
        for i in range(1, self.depth + 1):
            skips.append(part(f"down{i}")(x))
            x = self.pool(skips[-1])
        x = self.bottom(x)
        for i in range(self.depth, 0, -1):
            x = torch.cat([skips[i - 1], part(f"upconv{i}")(x)], 1)
            x = part(f"up{i}")(x)
        return self.logits(x)


class SegNet(nn.Module):
    def __init__(self, channels, classes, features, repeats):
        super().__init__()
        self.repeats, self.pool = repeats, nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)
        for i, (n, times) in enumerate(zip(features, repeats, strict=True), start=1):
            for j in range(times):
                self.add_module(f"down{i}_{j + 1}", ConvBN(n if j else channels, n))
                last = channels if i > 1 and j == times - 1 else n
                if i > 1 or j < times - 1:
                    self.add_module(f"up{i}_{j + 1}", ConvBN(n, last))
            channels = n
        self.logits = nn.Conv2d(features[0], classes, 3, padding=1)

    def forward(self, x):
        part, places = self.get_submodule, []
        for i, times in enumerate(self.repeats, start=1):
            for j in range(times):
                x = part(f"down{i}_{j + 1}")(x)
            x, indices = self.pool(x)
            places.append(indices)
        for i, times in reversed(list(enumerate(self.repeats, start=1))):
            x = self.unpool(x, places[i - 1])
            for j in range(times if i > 1 else times - 1):
                x = part(f"up{i}_{j + 1}")(x)
        return self.logits(x)


class Layer(nn.Module):
    def __init__(self, inputs, outputs, side):
        super().__init__()
        self.bn = nn.BatchNorm2d(inputs, eps=1e-3)
        self.conv = nn.Conv2d(inputs, outputs, side, padding=side // 2)

    def forward(self, x):
        return self.conv(torch.relu(self.bn(x)))


class FCDenseNet(nn.Module):
    def __init__(self, channels, classes, down, bottleneck, growth, first):
        super().__init__()
        self.down, self.growth, width, skips = down, growth, first, []
        self.first = nn.Conv2d(channels, first, 3, padding=1)

        def block(name, layers, width):
            rows = {f"layer{j + 1}": Layer(width + j * growth, growth, 3) for j in range(layers)}
            self.add_module(name, nn.ModuleDict(rows))
            return width + layers * growth

        for i, layers in enumerate(down, start=1):
            width = block(f"down{i}", layers, width)
            skips.append(width)
            self.add_module(f"transition{i}", Layer(width, width, 1))
        block("bottleneck", bottleneck, width)
        new = bottleneck * growth
        for i in range(len(down), 0, -1):
            self.add_module(f"upconv{i}", nn.ConvTranspose2d(new, new, 3, 2))
            width = block(f"up{i}", down[i - 1], new + skips[i - 1])
            new = down[i - 1] * growth
        self.logits = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        part, skips = self.get_submodule, []

        def block(name, x):
            new = []
            for layer in part(name).values():
                new.append(layer(x))
                x = torch.cat([x, new[-1]], 1)
            return x, torch.cat(new, 1)

        x = self.first(x)
        for i in range(1, len(self.down) + 1):
            skips.append(block(f"down{i}", x)[0])
            x = nn.functional.max_pool2d(part(f"transition{i}")(skips[-1]), 2)
        x, new = block("bottleneck", x)
        for i in range(len(self.down), 0, -1):
            skip = skips[i - 1]
            new = part(f"upconv{i}")(new)[:, :, : skip.shape[2], : skip.shape[3]]
            x, new = block(f"up{i}", torch.cat([new, skip], 1))
        return self.logits(x)


NETS = {
    "unet": (
        lambda: UNet(2, 5, (8, 16, 32), 2, True),
        dict(width=1 / 8, depth=2),
        (2, 16, 20),
    ),
    "unet without normalisation": (
        lambda: UNet(2, 5, (8, 16, 32), 2, False),
        dict(width=1 / 8, depth=2, batch_norm=False),
        (2, 16, 20),
    ),
    "unet of a volume": (
        lambda: UNet(2, 5, (8, 16, 32), 3, True),
        dict(width=1 / 8, depth=2, dims=3),
        (2, 8, 12, 16),
    ),
    "unet of an odd size": (
        lambda: UNet(2, 5, (8, 16), 2, True),
        dict(width=1 / 8, depth=1),
        (2, 13, 17),
    ),
    "segnet": (
        lambda: SegNet(2, 5, (8, 16, 32, 64, 64), (2, 2, 3, 3, 3)),
        dict(width=1 / 8),
        (2, 32, 64),
    ),
    "fc_densenet": (
        lambda: FCDenseNet(2, 5, (2, 3, 4), 5, 6, 8),
        dict(layers=(2, 3, 4, 5), growth=6, first=8),
        (2, 16, 24),
    ),
}


def channels_first(x):
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy())


def drawn(net, images):
    """A net with random scales, whose BatchNorm has seen these images."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.2)
        net.train()(channels_first(images))
    return net.eval()


def ours(state, path, shape):
    """The array of one of our leaves, from the state of the net of the same names."""
    leaf = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    *names, last = path[1:]
    array = state.pop(".".join([*names, leaf.get(last, last)]))
    if last == "kernel":
        dims = range(2, array.ndim)
        # A transposed convolution's weights have the inputs first, a convolution's the outputs.
        array = array.transpose(*dims, *((0, 1) if names[-1].startswith("upconv") else (1, 0)))
    assert array.shape == shape
    return jnp.asarray(array)


@pytest.mark.parametrize("name", list(NETS))
def test_logits_and_gradient_equal_torch(name):
    build, options, shape = NETS[name]
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(*shape, 2)).astype(np.float32)
    stride = 2 if "odd" in name else 1
    missing = [-side % stride for side in shape[1:]]
    wide = [(0, 0), *((n // 2, n - n // 2) for n in missing), (0, 0)]
    inside = tuple(slice(before, before + side)
                   for (before, _), side in zip(wide[1:-1], shape[1:], strict=True))  # fmt: skip

    def look(net, x):
        return net(torch.nn.functional.pad(
            x, [n for pair in wide[-2:0:-1] for n in pair], mode="replicate"
        ) if any(missing) else x)[:, :, *inside]  # fmt: skip

    net = drawn(build(), np.pad(images, wide, mode="edge"))
    given = channels_first(images).requires_grad_()
    logits = look(net, given)
    weights = torch.randn(logits.shape)
    (logits * weights).sum().backward()

    model = models.create(name.split()[0], 5, **options)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    state = {key: value.numpy() for key, value in net.state_dict().items()
             if not key.endswith("num_batches_tracked")}  # fmt: skip
    leaves = traverse_util.flatten_dict(shapes)
    leaves = {path: ours(state, path, leaf.shape) for path, leaf in leaves.items()}
    assert not state, f"left over: {[*state]}"
    variables = traverse_util.unflatten_dict(leaves)

    def value_and_slope(variables, images, weights):
        value, pull = jax.vjp(lambda x: models.apply(model, variables, x, mean=0, std=1)[0], images)
        return value, pull(weights)[0]

    last = lambda array: np.moveaxis(array.detach().numpy(), 1, -1)
    got = jax.jit(value_and_slope)(variables, images, last(weights))
    for kind, mine, theirs in zip(("logits", "gradient"), got, (logits, given.grad), strict=True):
        theirs = last(theirs)
        scale = float(np.abs(theirs).max())
        error = np.abs(mine - theirs).max() / scale
        print(f"{name}: {kind} differ by {error:.1e} of their scale {scale:.2f}")
        assert np.ptp(theirs) > 0.2 * scale
        assert error < 1e-4


@pytest.mark.parametrize("dims, space", [(2, (6, 8)), (2, (7, 5)), (3, (4, 6, 5))])
@pytest.mark.parametrize("values", [3, 10**6])
def test_pooling_and_unpooling_equal_torch(dims, space, values):
    rng = np.random.default_rng(1)
    x = rng.integers(0, values, (2, *space, 3)).astype(np.float32)
    given = channels_first(x).requires_grad_()
    pool = (nn.MaxPool2d if dims == 2 else nn.MaxPool3d)(2, return_indices=True)
    unpool = (nn.MaxUnpool2d if dims == 2 else nn.MaxUnpool3d)(2)
    pooled, indices = pool(given)
    back = unpool(pooled, indices, output_size=space)
    slope = torch.from_numpy(rng.normal(size=back.shape).astype(np.float32))
    (back * slope).sum().backward()

    def there_and_back(x):
        maxima, places = pooling.max_pool_places(x)
        return pooling.max_unpool(maxima, places, space), (maxima, places)

    ours, pull, (maxima, places) = jax.vjp(there_and_back, jnp.asarray(x), has_aux=True)
    last = lambda array: np.moveaxis(array.detach().numpy(), 1, -1)
    np.testing.assert_array_equal(maxima, last(pooled))
    np.testing.assert_array_equal(ours, last(back))
    np.testing.assert_array_equal(pull(jnp.asarray(last(slope)))[0], last(given.grad))
    # Torch numbers the pixels of the whole map, we those of the window.
    pixel = np.unravel_index(last(indices), space)
    code = sum((p % 2) * 2 ** (dims - 1 - n) for n, p in enumerate(pixel))
    np.testing.assert_array_equal(places, code)
