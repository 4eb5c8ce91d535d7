import itertools

import numpy as np
import pytest

from medadv_jax import report
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


STRUCTURES = ("background", "left-cortex", "right-cortex", "brain-stem")
DENSE = {
    "rician_noise": ("noise", 0.01, 0.95),
    "gaussian_noise": ("noise", 0.01, 0.97),
    "fgsm": ("white", 0.01, 0.7),
    "pgd": ("white", 0.01, 0.4),
    "segpgd": ("white", 0.01, 0.3),
    "cospgd": ("white", 0.01, 0.28),
    "dag_a": ("white", None, 0.05),
    "dag_b": ("white", None, 0.97),
    "dag_c": ("white", None, 0.98),
    "sea": ("white", 0.01, 0.2),
    "asma": ("white", None, 0.6),
}
"""Every perturbation of a brain report: its access, its size, the share of Dice that it leaves."""


def label_maps():
    """Ten slices of three structures that grow and shrink; what a model finds before and after."""
    y, x = np.mgrid[:24, :20]
    radius = np.concatenate([np.arange(0, 10, 2), np.arange(8, -2, -2)])[:, None, None]
    inside = np.hypot(y - 12, x - 10) < radius
    truth = np.where(inside, np.where(x < 10, 1, 2), 0)
    truth = np.where(inside & (np.abs(y - 12) < 2) & (np.abs(x - 10) < 2), 3, truth)
    return truth, np.roll(truth, 1, axis=1), np.where(x < 10, 0, np.roll(truth, 2, axis=1))


def scans():
    """The images of the label maps before and after a perturbation of 0.01, `(10, 24, 20, 1)`."""
    truth, *_ = label_maps()
    clean = (np.array([0.1, 0.5, 0.6, 0.8])[truth][..., None]).astype(np.float32)
    noise = np.sign(np.random.default_rng(0).normal(size=clean.shape))
    return clean, (clean + 0.01 * noise).astype(np.float32)


@pytest.fixture(scope="session")
def segmented():
    """A slice under each perturbation of a brain report."""
    truth, before, after = label_maps()
    clean, perturbed = scans()
    return [
        Picture(
            clean=clean[4],
            perturbed=perturbed[4],
            label=truth[4],
            clean_probabilities=None,
            perturbed_probabilities=None,
            model="unet",
            perturbation=name,
            eps=eps,
            success=False,
            clean_prediction=before[4].astype(np.uint8),
            perturbed_prediction=after[4].astype(np.uint8),
        )
        for name, (_, eps, _) in DENSE.items()
    ]


@pytest.fixture(scope="session")
def dense_rows():
    """Two segmenters, clean and under each perturbation, by Dice and by HD95."""
    found = []
    for metric, scale in (("dice", lambda s: s), ("hd95", lambda s: 10 * (1.1 - s))):
        for model, clean in (("unet", 0.86), ("segnet", 0.8)):
            for name, (access, eps, left) in {"clean": ("clean", None, 1), **DENSE}.items():
                score, whole = scale(left * clean), scale(clean)
                sizes = dict(score_low=score * 0.98, score_high=score * 1.02, clean_score=whole)
                common = dict(metric=metric, eps=eps, task="brain", data="phantom")
                found.append(make_row(model, access, name, score, **common, **sizes))
    other = dict(access="black", source="segnet", score=0.7, score_low=0.68, score_high=0.72)
    own = next(r for r in found if r["model"] == "unet" and r["perturbation"] == "pgd")
    return [*found, own | other]


@pytest.fixture(scope="session")
def dense_parts(dense_rows):
    """What `evaluate.parts` returns of them: the score of each of three structures."""
    keys = ("model", "source", "access", "perturbation", "eps", "metric")
    return [
        {key: row[key] for key in keys} | {"parts": [row["score"], 0.5 * row["score"], None]}
        for row in dense_rows
    ]


@pytest.fixture(scope="session")
def subject():
    """The slices of a subject for the slider."""
    truth, before, after = label_maps()
    return report.slider(*scans(), truth, before, after, title="Subject 1, unet under pgd")


@pytest.fixture(scope="session")
def dense_arguments(dense_rows, dense_parts, segmented, subject):
    """Arguments of a report about label maps with everything in it."""
    return dict(
        config={"eps": 0.01},
        rows=dense_rows,
        title="Brain",
        data="Phantoms.",
        class_names=STRUCTURES,
        examples=segmented,
        structures=report.structures(dense_parts),
        slider=subject,
        eps=0.01,
    )
