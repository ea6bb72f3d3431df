"""A product catalogue: the service that shows what prodkit does, and that the operator is tested with."""
