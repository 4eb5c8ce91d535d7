import json

import jax
import numpy as np
import pytest

from medadv_jax import models
from medadv_jax.models import pretrained

TINY = {
    "inception_v3": dict(width=1 / 32, repeats=(1, 1, 1)),
    "inception_v4": dict(width=1 / 32, repeats=(2, 1, 1)),
    "mobilenet": dict(width=1 / 32, repeats=(1, 1, 1, 1, 1)),
}
NETS = pytest.mark.parametrize("name", list(TINY))


def tiny(name):
    model = models.create(name, 3, **TINY[name])
    rng = np.random.default_rng(0)
    state = {
        key: rng.normal(size=shape).astype(np.float32)
        for key, shape in pretrained.expected(model).items()
    }
    return model, state


@pytest.mark.parametrize(
    "name, names",
    [
        (
            "inception_v3",  # torchvision 0.29
            {
                "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
                "Mixed_5c.branch5x5_2.bn.running_var": (64,),
                "Mixed_6b.branch7x7dbl_5.conv.weight": (192, 128, 1, 7),
                "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
                "fc.weight": (1000, 2048),
            },
        ),
        (
            "inception_v4",  # timm 1.0
            {
                "features.2.bn.running_mean": (64,),
                "features.3.conv.conv.weight": (96, 64, 3, 3),
                "features.4.branch1.2.conv.weight": (64, 64, 7, 1),
                "features.6.branch3.1.conv.weight": (96, 384, 1, 1),
                "features.10.branch0.conv.weight": (384, 384, 3, 3),
                "features.17.branch2.3.conv.weight": (224, 224, 7, 1),
                "features.18.branch1.3.bn.bias": (320,),
                "features.21.branch2_3b.conv.weight": (256, 512, 3, 1),
                "last_linear.bias": (1000,),
            },
        ),
        (
            "mobilenet",  # Keras 3.15
            {
                "conv1_bn/moving_variance": (32,),
                "conv_dw_13/kernel": (3, 3, 1024, 1),
                "conv_pw_12_bn/gamma": (1024,),
                "conv_preds/kernel": (1, 1, 1024, 1000),
            },
        ),
    ],
)
def test_names_and_shapes_of_the_other_library(name, names):
    expected = pretrained.expected(models.create(name, 1000))
    assert {key: expected.get(key) for key in names} == names


@NETS
def test_convert_gives_variables_of_the_model(name):
    model, state = tiny(name)
    variables = pretrained.convert(model, {**state, "x.num_batches_tracked": np.array(3)})
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 80, 80, 3), np.float32))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), variables) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), dict(shapes)
    )


def test_axes_are_reordered():
    model, state = tiny("inception_v3")
    params = pretrained.convert(model, state)["params"]
    ours = params["Conv2d_1a_3x3"]["conv"]["kernel"]
    assert ours[2, 1, 0, 0] == state["Conv2d_1a_3x3.conv.weight"][0, 0, 2, 1]
    assert params["fc"]["kernel"][5, 2] == state["fc.weight"][2, 5]
    model, state = tiny("mobilenet")
    params = pretrained.convert(model, state)["params"]
    assert (
        params["block2"]["depthwise"]["kernel"][0, 2, 0, 1] == state["conv_dw_2/kernel"][0, 2, 1, 0]
    )


@NETS
def test_missing_left_over_and_misshaped_names_are_refused(name):
    model, state = tiny(name)
    first, *_ = sorted(state)
    with pytest.raises(ValueError, match=f"1 missing .*{first}.*1 left over .*'stray'"):
        rest = {key: array for key, array in state.items() if key != first}
        pretrained.convert(model, {**rest, "stray": np.zeros(1)})
    with pytest.raises(ValueError, match=rf"'{first}' has shape \(2, 2\), needed is "):
        pretrained.convert(model, {**state, first: np.zeros((2, 2))})


def test_other_modules_are_refused():
    with pytest.raises(ValueError, match="converted for InceptionV3.*not for SeparableBlock"):
        pretrained.convert(models.mobilenet.SeparableBlock(4), {})


def test_read_npz_and_refuse_pickles(tmp_path):
    np.savez(tmp_path / "weights.npz", **{"a/b": np.arange(3.0)})
    np.testing.assert_array_equal(pretrained.read(tmp_path / "weights.npz")["a/b"], [0, 1, 2])
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        pretrained.read(tmp_path / "objects.npz")
    content = (tmp_path / "weights.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="cut.npz cannot be read: "):
        pretrained.read(tmp_path / "cut.npz")
    with pytest.raises(ValueError, match="weights.pth.*only"):
        pretrained.read(tmp_path / "weights.pth")


def safetensors(arrays, dtype="F32"):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        stop = len(body) + array.nbytes
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [len(body), stop]}
        body += array.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_read_safetensors(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([7])}
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors(arrays))
    read = pretrained.read(path)
    assert set(read) == {"a", "b"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
    path.write_bytes(safetensors(arrays)[:-2])
    with pytest.raises(ValueError, match="ends within 'b'"):
        pretrained.read(path)
    path.write_bytes(safetensors(arrays)[:20])
    with pytest.raises(ValueError, match="ends within its header"):
        pretrained.read(path)
    path.write_bytes((4).to_bytes(8, "little") + b"no j")
    with pytest.raises(ValueError, match="weights.safetensors cannot be read: "):
        pretrained.read(path)
    path.write_bytes(safetensors(arrays, dtype="F8_E5M2"))
    with pytest.raises(ValueError, match="'a' is F8_E5M2"):
        pretrained.read(path)
