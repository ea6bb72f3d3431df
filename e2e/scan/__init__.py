"""Scanners of other people over everything that the operator and its chart put into a cluster.

`subjects` is what is scanned, a module for each scanner says what it finds, `exceptions` what is accepted and why.
"""
