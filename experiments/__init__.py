"""Experiments: wiring and hyperparameters. Run one as `python -m experiments.skin`."""
