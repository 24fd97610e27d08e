"""One simulated face: controls, pose and appearance in, a picture and its ground truth out.

    face = render_face(expression("happy"), Pose(yaw_deg=10), Appearance(skin_tone=3), 160)
    face.image_bgr, face.truth.landmarks_xy

Everything is drawn on a canvas twice as fine as the picture and then averaged down, which smooths all
borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.appearance import Appearance, Colour, Light, Pose
from edge_runtime.frames.simulation.contours import ROWS, outlines
from edge_runtime.frames.simulation.controls import Controls, FloatArray
from edge_runtime.frames.simulation.features import (
    Palette,
    paint_brows,
    paint_eyes,
    paint_glasses,
    paint_mouth,
    paint_nostrils,
)
from edge_runtime.frames.simulation.folds import paint_folds
from edge_runtime.frames.simulation.hair import CRANIUM, HairPainter
from edge_runtime.frames.simulation.shape import PIVOT, PUPIL_DISTANCE_IN_BOX, FaceShape, face_box, project
from edge_runtime.frames.simulation.skin import EXTENT, NEUTRAL_SHADE, TEXELS_PER_UNIT, lit, skin_texture

FINER: Final = 2  # canvas pixels per picture pixel, in each direction
_GLASSES: Final = np.array(
    [
        (-0.5, 0.04, 0.2),
        (0.5, 0.04, 0.2),
        (-0.13, 0.0, 0.32),
        (0.13, 0.0, 0.32),
        (-1.08, -0.04, -0.8),
        (1.08, -0.04, -0.8),
    ],
    np.float32,
)
_EARS: Final = np.array([(-1.17, 0.22, -1.0), (1.17, 0.22, -1.0)], np.float32)
_BORDER_FOLLOWS: Final = 0.35  # in pupil distances, at a turn by 90°
_SKIN_DEPTH: Final = 0.05  # z of the plane that stands for the skin when its texture is turned


@dataclass(frozen=True, slots=True)
class FaceTruth:
    """Where one face is in its picture, pixel centres at integers.

    Attributes:
        box_xyxy: (4,) float32, comparable to a Haar box, see `shape.face_box`; its side is the face's width.
        pupils_xy: (2, 2) float32, image-left pupil first.
        landmarks_xy: (68, 2) float32, order of iBUG.
    """

    box_xyxy: FloatArray
    pupils_xy: FloatArray
    landmarks_xy: FloatArray


@dataclass(frozen=True, slots=True)
class RenderedFace:
    """A picture of one face; `image_bgr` is (S, S, 3) uint8."""

    image_bgr: Image
    truth: FaceTruth


class FacePainter:
    """Paints one person into canvases, again and again.

    Args:
        appearance: the person.
        light: the room's light.
        unit_px: distance between the pupils in pixels of the picture.
    """

    def __init__(self, appearance: Appearance, light: Light, unit_px: float) -> None:
        self.unit_px = unit_px
        self._shape = FaceShape(appearance)
        self._texture = skin_texture(appearance, light)
        self._palette = Palette.of(appearance, light)
        self._hair = HairPainter(
            appearance.hair,
            lit(appearance.hair_bgr, light),
            lit(appearance.skin_bgr, light),
            appearance.face_width,
        )
        self._ears = _EARS * np.array([appearance.face_width, 1.0, 1.0], np.float32)
        self._cranium = CRANIUM * np.array([appearance.face_width, 1.0], np.float32)
        self._glasses = appearance.glasses
        self._lamp_x = float(light.direction()[0]) * light.strength * 2

    def paint(
        self,
        canvas: Image,
        controls: FloatArray,
        pose: Pose,
        centre_xy: tuple[float, float],
        collar_xy: tuple[float, float],
    ) -> FaceTruth:
        """Paints head and neck.

        Args:
            canvas: (2h, 2w, 3) uint8, twice as fine as the (h, w) picture.
            controls: (C,) float32.
            pose: of the head.
            centre_xy: middle between the pupils at pose 0, 0, 0, in pixels of the picture.
            collar_xy: where the neck meets the body, in pixels of the picture.

        Returns:
            The truth in pixels of the picture.
        """
        points = self._shape.points(controls)
        in_space = np.concatenate([points, outlines(points), _GLASSES, self._ears])
        in_picture = project(in_space, pose, centre_xy, self.unit_px)
        fine = _to_fine(in_picture)
        fine_outline = {name: fine[70:-8][rows] for name, rows in ROWS.items()}
        unit = FINER * self.unit_px
        roll = _roll_transform(pose, centre_xy, self.unit_px)

        self._hair.paint_behind(canvas, roll, fine[-2:], _to_fine(np.array(collar_xy, np.float32)), unit)
        self._paint_skin(canvas, fine_outline, in_picture[70:-8], controls, pose, roll, centre_xy)
        paint_nostrils(canvas, fine_outline, self._palette, unit)
        paint_mouth(canvas, fine_outline, controls, self._palette, unit)
        paint_eyes(canvas, fine_outline, fine[68:70], self._palette, unit)
        paint_brows(canvas, fine_outline, self._palette)
        self._hair.paint_front(canvas, fine_outline, roll, unit)
        if self._glasses:
            paint_glasses(canvas, fine[-8:-2], self._palette, unit, pose.roll_deg)
        return FaceTruth(
            face_box(pose, centre_xy, self.unit_px), in_picture[68:70].copy(), in_picture[:68].copy()
        )

    def _paint_skin(
        self,
        canvas: Image,
        fine_outline: dict[str, FloatArray],
        vertices: FloatArray,
        controls: FloatArray,
        pose: Pose,
        roll: FloatArray,
        centre_xy: tuple[float, float],
    ) -> None:
        """Paints the skin from chin to crown; what is soft anyway is computed in pixels of the picture."""
        border = np.concatenate([fine_outline["jaw"], self._cranium @ roll[:, :2].T + roll[:, 2]])
        height, width = canvas.shape[0] // FINER, canvas.shape[1] // FINER
        low = np.clip(np.floor(border.min(axis=0) / FINER).astype(int) - 1, 0, (width, height))
        high = np.clip(np.ceil(border.max(axis=0) / FINER).astype(int) + 2, 0, (width, height))
        (x0, y0), (x1, y1) = low, high
        if x1 <= x0 or y1 <= y0:
            return
        corner = low.astype(np.float32)
        size = (int(x1 - x0), int(y1 - y0))
        transform = _texture_transform(pose, centre_xy, self.unit_px)
        transform[:, 2] -= corner
        skin = cv2.warpAffine(
            self._texture, transform, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        shade = np.full(size[::-1], NEUTRAL_SHADE, np.uint8)
        local = vertices - corner
        paint_folds(
            shade, {name: local[rows] for name, rows in ROWS.items()}, controls, self.unit_px, self._lamp_x
        )
        softness = 2 * max(1, round(0.035 * self.unit_px)) + 1
        shade = cv2.GaussianBlur(shade, (softness, softness), 0)
        skin = cv2.multiply(skin, cv2.cvtColor(shade, cv2.COLOR_GRAY2BGR), scale=1 / NEUTRAL_SHADE)
        skin = cv2.resize(skin, (FINER * size[0], FINER * size[1]), interpolation=cv2.INTER_LINEAR)
        mask = np.zeros(skin.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.rint((border - FINER * corner) * 16).astype(np.int32)], (255,), cv2.LINE_8, 4)
        cv2.copyTo(skin, mask, canvas[FINER * y0 : FINER * y1, FINER * x0 : FINER * x1])


def render_face(
    controls: Controls,
    pose: Pose | None = None,
    appearance: Appearance | None = None,
    size_px: int = 128,
    *,
    light: Light | None = None,
    face_px: float | None = None,
    noise: float = 0.0,
    blur_px: float = 0.0,
    background_bgr: Colour = (168, 176, 182),
    rng: np.random.Generator | None = None,
) -> RenderedFace:
    """Renders one face in the middle of a square picture.

    Args:
        controls: its expression.
        pose: turn of the head; straight ahead when absent.
        appearance: the person; the average one when absent.
        size_px: side of the picture.
        light: lamp and exposure.
        face_px: side of the Haar-like face box; 0.55 of the picture when absent.
        noise: standard deviation of the sensor's noise in grey levels.
        blur_px: standard deviation of a Gaussian blur.
        background_bgr: colour of the wall.
        rng: draws the noise; a fixed seed when absent.

    Raises:
        ValueError: the picture is smaller than 16 px, or the face box smaller than 8 px.
    """
    pose, appearance, light = pose or Pose(), appearance or Appearance(), light or Light()
    side = 0.55 * size_px if face_px is None else face_px
    if size_px < 16 or not side >= 8:
        raise ValueError(
            f"a picture of {size_px} px with a face of {side:g} px is too small; 16 and 8 are the least"
        )
    unit = side * PUPIL_DISTANCE_IN_BOX
    middle = (size_px - 1) / 2
    centre = (middle, middle - 0.2 * unit)
    collar = (middle, middle + 2.15 * unit)
    canvas = np.empty((FINER * size_px, FINER * size_px, 3), np.uint8)
    canvas[:] = lit(background_bgr, light)
    shoulders = _to_fine(np.array([middle, middle + 3.95 * unit], np.float32)).tolist()
    radii = (round(FINER * 2.6 * unit), round(FINER * 2.0 * unit))
    cv2.ellipse(
        canvas, [round(v) for v in shoulders], radii, 0, 0, 360, lit(appearance.clothes_bgr, light), -1
    )
    truth = FacePainter(appearance, light, unit).paint(canvas, controls.vector(), pose, centre, collar)
    image = cv2.resize(canvas, (size_px, size_px), interpolation=cv2.INTER_AREA)
    if blur_px > 0:
        image = cv2.GaussianBlur(image, (0, 0), blur_px)
    if noise > 0:
        rng = rng or np.random.default_rng(0)
        noisy = image + rng.normal(0, noise, image.shape)
        image = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return RenderedFace(np.asarray(image, np.uint8), truth)


def _to_fine(points: FloatArray) -> FloatArray:
    """Pixels of the picture to pixels of the canvas, both with centres at integers."""
    return np.asarray((points + 0.5) * FINER - 0.5, np.float32)


def _roll_transform(pose: Pose, centre_xy: tuple[float, float], unit_px: float) -> FloatArray:
    """Flat head coordinates to canvas pixels for outlines that only tilt with the head; (2, 3).

    A head is a little deeper than wide, so its border follows a turn by a fraction of it.
    """
    angle = np.deg2rad(pose.roll_deg)
    linear = unit_px * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pivot = PIVOT[:2] - np.array([_BORDER_FOLLOWS * np.sin(np.deg2rad(pose.yaw_deg)), 0.0])
    shift = unit_px * PIVOT[:2] + np.asarray(centre_xy) - linear @ pivot
    return np.column_stack([FINER * linear, (shift + 0.5) * FINER - 0.5]).astype(np.float32)


def _texture_transform(pose: Pose, centre_xy: tuple[float, float], unit_px: float) -> FloatArray:
    """Texels to pixels of the picture, as if the skin were a plane; (2, 3)."""
    linear = unit_px * pose.rotation[:2, :2] / TEXELS_PER_UNIT
    first_texel = np.array([[EXTENT[0], EXTENT[1], _SKIN_DEPTH]], np.float32)
    shift = project(first_texel, pose, centre_xy, unit_px)[0]
    return np.column_stack([linear, shift]).astype(np.float32)
