"""The webhook: looks things up that the API server's own rules cannot know, and says what it found.

It warns and never refuses (ADR 0008): whatever may not be is refused by the CRD's rules and by the policies of the
chart, which need no pod of ours. While no replica answers, services are created, changed and deleted all the same.
"""
