"""Bulk imports: many products at once, in the background, with progress."""
