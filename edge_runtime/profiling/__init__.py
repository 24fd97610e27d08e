"""Where the time goes: `spans.py` measures the stages of the loop as it runs, cheaply enough to stay on."""
