"""The site survey: what a camera in this place can read, seat by seat."""
