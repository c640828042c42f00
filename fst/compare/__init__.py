"""Comparing runs without an account: run folders become one self-contained page.

python -m fst.compare runs/ output=compare.html

Reads what runs left on disk and imports neither Lightning nor torch.
"""
