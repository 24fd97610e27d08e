"""The dashboard: all rooms of a broker in a browser.

In the order in which data flows:

    receiver.py   the thread between the broker and the picture                → Receiver
    device.py     what is known of one device                                  → Device
    diagnosis.py  what is wrong with it, in a sentence                         → diagnose
    picture.py    all rooms as they are now, and what changed                  → Picture
    past.py       what the room page shows of the time before now              → Past
    feed.py       changes to the pages, as server-sent events                  → Feed
    access.py     who may look                                                 → Access
    server.py     the web server                                               → make_app
    service.py    the whole, from configuration to goodbye                     → serve
    words.py      all that is said in English, from static/strings.en.json
    static/       the page: ES modules and a style sheet, no build step

    from edge_runtime.dashboard.service import serve

    serve(MqttSection(url="mqtt://broker.school"), load_credentials(), store_url=None, port=8080)
"""
