"""`python -m edge_runtime` is `roomtone`."""

from edge_runtime.cli import main

main()
