"""Groups: small ones drawn from the whole fleet, the same ones each time."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import UpdateError
from edge_runtime.fleet.groups import Group, assign, parse_groups

FLEET = [f"school-{site}/room-{room}/camera-1" for site in range(4) for room in range(25)]


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("rest", (Group("rest", None),)),
        ("canary=5%,rest", (Group("canary", 5, True), Group("rest", None))),
        (
            " canary=3 , second=20% , rest ",
            (Group("canary", 3), Group("second", 20, True), Group("rest", None)),
        ),
    ],
)
def test_groups_are_read(text: str, groups: tuple[Group, ...]) -> None:
    assert parse_groups(text) == groups


@pytest.mark.parametrize(
    "text",
    [
        "",
        "canary",
        "canary=5%",
        "canary=0,rest",
        "canary=101%,rest",
        "rest,canary=5%",
        "a=1,a=2,rest",
        "rest,rest",
        "A=1,rest",
        "a=x,rest",
        "a=-1,rest",
    ],
)
def test_what_is_no_list_of_groups_is_refused(text: str) -> None:
    with pytest.raises(UpdateError, match="--groups"):
        parse_groups(text)


@pytest.mark.parametrize(
    ("text", "devices", "sizes"),
    [
        ("canary=5%,rest", 100, {"canary": 5, "rest": 95}),
        ("canary=5%,rest", 1, {"canary": 1}),
        ("canary=5%,rest", 21, {"canary": 2, "rest": 19}),
        ("canary=5%,rest", 0, {}),
        ("canary=3,second=50%,rest", 10, {"canary": 3, "second": 5, "rest": 2}),
        ("canary=200,rest", 100, {"canary": 100}),
    ],
)
def test_groups_have_their_sizes_and_never_fewer_than_one(
    text: str, devices: int, sizes: dict[str, int]
) -> None:
    assert Counter(assign(parse_groups(text), FLEET[:devices]).values()) == sizes


@given(st.permutations(FLEET[:30]))
def test_the_order_in_which_devices_are_found_does_not_matter(devices: list[str]) -> None:
    groups = parse_groups("canary=10%,rest")
    assert assign(groups, devices) == assign(groups, FLEET[:30])


def test_a_canary_is_not_one_school() -> None:
    assigned = assign(parse_groups("canary=20%,rest"), FLEET)
    sites = {device.split("/")[0] for device, group in assigned.items() if group == "canary"}
    assert sites == {"school-0", "school-1", "school-2", "school-3"}


def test_these_devices_are_the_canaries_for_ever() -> None:
    # printf a/a/a | sha256sum begins with 6e72, b/b/b with 10d4, c/c/c with 35d0
    assigned = assign(parse_groups("first=1,second=1,rest"), ["a/a/a", "b/b/b", "c/c/c"])
    assert assigned == {"b/b/b": "first", "c/c/c": "second", "a/a/a": "rest"}
