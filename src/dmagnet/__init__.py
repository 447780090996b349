"""Interpretable galaxy morphology: DMAGNet and a Deep Dream that measures."""

__version__ = "0.1.0.dev0"
