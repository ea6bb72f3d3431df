"""What the service costs and what it does under load: `python -m benchmarks.service --help`."""
