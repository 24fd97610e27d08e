"""The site survey: what a camera in this place can read, seat by seat; and a picture that shows it, and nobody.

In the order in which data flows:

    surveyor.py      frames in, report and picture out; keeps no frame beyond the survey     → Surveyor
    scan.py          one thorough look: frontal faces, profiles, everything suspected         → Sightings
    readability.py   limits of this device; readable, marginal, too small, too dark, turned   → Grade
    places.py        sightings of many frames → places                                        → Place
    heat.py          where heads were, for each grade
    exposure.py, focus.py, flicker.py   light and focus of the picture
    geometry.py      distances by the lens
    report.py        all that was found, as numbers                                           → SurveyReport
    verdict.py       what it means, and what to change
    tables.py        on a terminal
    background.py    the room without its people
    canvas.py, drawing.py   the picture

    with open_source(config.camera) as camera, Surveyor(config, manifest, waits_for_scans=False) as surveyor:
        watch(camera, surveyor, 60, lambda seconds, heads: None)
        report = surveyor.report(lens_degrees=90)
        save(draw(report, surveyor.empty_room(), surveyor.heat), Path("survey.png"))
"""
