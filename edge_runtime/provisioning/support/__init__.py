"""`roomtone support-bundle`: what a maintainer asks for first, without secrets and without pictures.

redaction.py   known secrets and what looks like one → ***
facts.py       versions and hardware
archive.py     the parts, and the archive
"""
