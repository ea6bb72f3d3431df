"""The ProductionService operator. Read `api/v1alpha1.py` first; the README gives the order of the rest."""

__version__ = "0.1.0"
