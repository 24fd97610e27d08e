"""OpenCV's trained Haar cascades, as they come with the `opencv-python-headless<5` package."""

from __future__ import annotations

from pathlib import Path

import cv2

from edge_runtime.errors import EngineError


def load_cascade(file_name: str) -> cv2.CascadeClassifier:
    """Loads one of the cascades that ship with OpenCV 4, say `haarcascade_frontalface_alt.xml`.

    Raises:
        EngineError: this OpenCV has no cascades (5.x), or not this one.
    """
    hint = "pip install 'opencv-python-headless>=4.10,<5'"
    if not hasattr(cv2, "CascadeClassifier"):
        raise EngineError(f"OpenCV {cv2.__version__} has no Haar cascades", hint=hint)
    path = Path(cv2.data.haarcascades) / file_name  # type: ignore[attr-defined]  # the stubs lack cv2.data
    if not path.is_file():
        raise EngineError(f"OpenCV {cv2.__version__} came without {file_name}", hint=hint)
    cascade = cv2.CascadeClassifier(str(path))
    if cascade.empty():
        raise EngineError(f"{path.name} is there, but OpenCV cannot read it", hint=hint)
    return cascade
