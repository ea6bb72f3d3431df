"""The pricing service: which offers run. A service of its own in the catalogue's image: `python -m catalog.pricing`."""
