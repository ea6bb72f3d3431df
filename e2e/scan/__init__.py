"""Scanners of other people over everything that the operator and its chart put into a cluster.

`subjects` is what is scanned, `checkov.scan` what is found, `exceptions` what is accepted and why.
"""
