"""How good a model is, how visible a perturbation is, and how sure both numbers are."""

from medadv_jax.metrics import statistics
from medadv_jax.metrics.classification import (
    Metric,
    accuracy,
    auc,
    balanced_accuracy,
    confusion,
    decision,
    log_odds,
    recall,
)
from medadv_jax.metrics.images import l0, l2, linf, psnr, ssim
from medadv_jax.metrics.statistics import Interval, bootstrap

__all__ = [
    "Interval",
    "Metric",
    "accuracy",
    "auc",
    "balanced_accuracy",
    "bootstrap",
    "confusion",
    "decision",
    "l0",
    "l2",
    "linf",
    "log_odds",
    "psnr",
    "recall",
    "ssim",
    "statistics",
]
