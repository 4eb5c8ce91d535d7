"""Generalizability against robustness of medical image models, in JAX."""
