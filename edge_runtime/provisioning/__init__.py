"""What an installer and a maintainer do with a device.

In the order in which `roomtone provision` goes:

    answers.py          what is asked, given or read from a file                        → Answers
    questions.py        the wizard; cameras.py and onvif.py what it lists, naming.py names as ids
    identity.py         who the device is to the broker: broker_login.py, device_key.py → Identity
    device.py           from answers to files; toml_editing.py keeps what people wrote  → Device
    layout.py, unit.py  where they lie; the systemd unit
    plan.py             every file and command before any of it is done                 → Plan
    trial.py            camera, broker, and the first window that comes back            → FirstWindow
    provision.py        joins them; service.py is systemd, deprovision.py the way back

    doctor/, support/   what is wrong with a device, and what to do about it; an archive for those who can help

    from pathlib import Path

    from edge_runtime.provisioning.answers import read_answers
    from edge_runtime.provisioning.layout import Layout
    from edge_runtime.provisioning.device import resolve

    device = resolve(read_answers(Path("room-12.toml")), Layout(Path("image")))  # nothing is written
    print([file.path for file in device.files()])
"""
