"""How good a model is, how visible a perturbation is, and how sure both numbers are."""

from medadv_jax.metrics import segmentation, statistics
from medadv_jax.metrics.classification import (
    accuracy,
    auc,
    balanced_accuracy,
    confusion,
    decision,
    log_odds,
    recall,
)
from medadv_jax.metrics.dense import (
    absolute_volume_error,
    average_surface_distance,
    dice,
    hd95,
    iou,
    volume_error,
)
from medadv_jax.metrics.images import l0, l2, linf, psnr, ssim
from medadv_jax.metrics.metric import Metric, Pooled, pooled
from medadv_jax.metrics.statistics import Interval, bootstrap

__all__ = [
    "Interval",
    "Metric",
    "Pooled",
    "absolute_volume_error",
    "accuracy",
    "auc",
    "average_surface_distance",
    "balanced_accuracy",
    "bootstrap",
    "confusion",
    "decision",
    "dice",
    "hd95",
    "iou",
    "l0",
    "l2",
    "linf",
    "log_odds",
    "pooled",
    "psnr",
    "recall",
    "segmentation",
    "ssim",
    "statistics",
    "volume_error",
]
