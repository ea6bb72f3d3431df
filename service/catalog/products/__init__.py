"""Everything about products: endpoints → service → repository."""
