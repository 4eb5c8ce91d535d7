import itertools

import numpy as np
import pytest

from medadv_jax.evaluate import Picture
from medadv_jax.report.rows import KEYS

CLASSES = ("nevus", "melanoma", "basal cell carcinoma")
CLEAN = {"inception_v3": 0.91, "inception_v4": 0.9, "mobilenet": 0.88}
EPS = (0.0005, 0.001, 0.002, 0.004)


def make_row(model, access, perturbation, score, **fields):
    """A row that is right in itself: interval round the score, drop from the clean score."""
    row = dict.fromkeys(KEYS)
    row.update(task="skin", data="lesion_phantom", data_size=700, model=model, access=access)
    row.update(perturbation=perturbation, metric="accuracy", score=score, seed=0)
    row.update(source=model if access == "white" else None)
    row.update(score_low=max(score - 0.03, 0.0), score_high=min(score + 0.03, 1.0))
    clean_score = fields.pop("clean_score", CLEAN.get(model))
    row.update(clean_score=clean_score, drop=clean_score - score)
    if access != "clean":
        row.update(ssim=0.98, l2=0.4, linf=fields.get("eps"), success=row["drop"] / clean_score)
        row.update(misclassified=1 - clean_score, flat=0.0, gradients=1.0, forwards=1.0)
        row.update(seconds=1.5, compile_seconds=0.5)
    return row | fields


def attacked(model, steepness, eps):
    return round(CLEAN[model] * float(np.exp(-steepness * eps)), 4)


@pytest.fixture(name="make_row", scope="session")
def make_row_fixture():
    return make_row


@pytest.fixture(scope="session")
def rows():
    """Three models, clean, noise, two attacks at four strengths, one without, and black box."""
    steep = {"inception_v3": 900, "inception_v4": 300, "mobilenet": 500}
    found = []
    for model in CLEAN:
        found.append(make_row(model, "clean", "clean", CLEAN[model]))
        for eps in EPS:
            found.append(make_row(model, "noise", "UniformNoise", CLEAN[model] - 0.01, eps=eps))
        for (name, power), eps in itertools.product((("FGSM", 0.5), ("PGD", 1.0)), EPS):
            score = attacked(model, power * steep[model], eps)
            found.append(make_row(model, "white", name, score, eps=eps, gradients=10 * power))
        found.append(make_row(model, "white", "DeepFool", 0.02, ssim=float("nan")))
    for source, model, eps in itertools.product(CLEAN, CLEAN, EPS):
        if source != model:
            score = attacked(model, 0.2 * steep[model], eps)
            found.append(make_row(model, "black", "PGD", score, eps=eps, source=source))
    balanced = [row | {"metric": "balanced accuracy", "score": row["score"] * 0.9} for row in found]
    return found + balanced


@pytest.fixture(scope="session")
def gallery_examples():
    """One example that was fooled and one that was not."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] / 63
    skin = np.stack([0.85 - 0.1 * x, 0.65 - 0.1 * y, 0.55 + 0 * x], axis=-1)
    lesion = np.hypot(x - 0.5, y - 0.45)[..., None] < 0.25
    clean = np.where(lesion, 0.4 * skin, skin)
    noise = 0.004 * np.sign(generator.normal(size=clean.shape))
    common = dict(clean=clean, perturbed=np.clip(clean + noise, 0, 1), label=1, eps=0.004)
    before = np.array([0.1, 0.85, 0.05])
    return [
        Picture(
            **common,
            clean_probabilities=before,
            perturbed_probabilities=np.array([0.9, 0.06, 0.04]),
            model="inception_v3",
            perturbation="PGD",
            success=True,
        ),
        Picture(
            **common,
            clean_probabilities=before,
            perturbed_probabilities=np.array([0.2, 0.7, 0.1]),
            model="mobilenet",
            perturbation="UniformNoise",
            success=False,
        ),
    ]
