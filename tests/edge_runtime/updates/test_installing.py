"""A source becomes a candidate only whole, safe, signed where that is required, and over https only."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from brokers import Certificates
from update_parts import Keys, StartServer, Versions, pack

from edge_runtime.bundle_signing import sign_bundle
from edge_runtime.config import UpdatesSection
from edge_runtime.errors import BundleError, BundleSignatureError, BundleTamperedError, UpdateError
from edge_runtime.updates import download as downloading
from edge_runtime.updates.installing import install, url_of
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.starting import open_slots

UPDATES = UpdatesSection()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "_PAUSE_S", 0.0)


def zipped(folder: Path, archive: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in folder.iterdir():
            out.write(path, prefix + path.name)
    return archive


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(lambda folder, to: folder, id="directory"),
        pytest.param(lambda folder, to: pack(folder, to / "b.tar"), id="tar"),
        pytest.param(lambda folder, to: pack(folder, to / "b.tar.gz", mode="w:gz"), id="tar.gz"),
        pytest.param(lambda folder, to: pack(folder, to / "b.tar.xz", mode="w:xz"), id="tar.xz"),
        pytest.param(lambda folder, to: pack(folder, to / "b.tar", prefix="./"), id="tar -C DIR ."),
        pytest.param(
            lambda folder, to: pack(folder, to / "b.tar", prefix="tiny-0.2.0/"), id="tar of a folder"
        ),
        pytest.param(lambda folder, to: zipped(folder, to / "b.zip"), id="zip"),
        pytest.param(lambda folder, to: zipped(folder, to / "no-suffix", "tiny/"), id="zip of a folder"),
    ],
)
def test_a_bundle_is_installed_from(
    slots: Slots, versions: Versions, tmp_path: Path, packed: Callable[[Path, Path], Path]
) -> None:
    folder = versions("0.2.0")
    candidate = install(slots, str(packed(folder, tmp_path)), UPDATES)
    assert candidate.digest == hashlib.sha256((folder / "bundle.json").read_bytes()).hexdigest()
    assert slots.open(candidate).manifest.version == "0.2.0"


def test_files_that_the_manifest_does_not_list_stay_outside(
    slots: Slots, versions: Versions, tmp_path: Path
) -> None:
    folder = versions("0.2.0")
    (folder / "class-photo.jpg").write_bytes(b"...")
    for source in (folder, pack(folder, tmp_path / "b.tar")):
        candidate = install(slots, str(source), UPDATES)
        assert not (slots.folder / candidate.folder / "class-photo.jpg").exists()


def with_member(archive: Path, name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> Path:
    with tarfile.open(archive, "a") as out:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, target, 0 if kind != tarfile.REGTYPE else 4
        out.addfile(info, io.BytesIO(b"evil"))
    return archive


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        pytest.param("../evil", tarfile.REGTYPE, "", id="traversal"),
        pytest.param("a/../../evil", tarfile.REGTYPE, "", id="traversal inside"),
        pytest.param("/tmp/evil", tarfile.REGTYPE, "", id="absolute"),
        pytest.param("evil", tarfile.SYMTYPE, "/etc/passwd", id="symbolic link"),
        pytest.param("evil", tarfile.LNKTYPE, "bundle.json", id="hard link"),
        pytest.param("evil", tarfile.CHRTYPE, "", id="device"),
        pytest.param("evil", tarfile.FIFOTYPE, "", id="fifo"),
    ],
)
def test_a_tar_with_an_unsafe_member_is_refused_whole(
    slots: Slots, versions: Versions, tmp_path: Path, name: str, kind: bytes, target: str
) -> None:
    archive = with_member(pack(versions("0.2.0"), tmp_path / "b.tar"), name, kind, target)
    with pytest.raises(UpdateError, match="not unpacked"):
        install(slots, str(archive), UPDATES)
    assert slots.table().candidate is None
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("name", ["../evil", "/evil", "..\\evil"])
def test_a_zip_with_an_unsafe_member_is_refused_whole(
    slots: Slots, versions: Versions, tmp_path: Path, name: str
) -> None:
    archive = zipped(versions("0.2.0"), tmp_path / "b.zip")
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr(name, "evil")
    with pytest.raises(UpdateError, match="not unpacked"):
        install(slots, str(archive), UPDATES)


def test_a_zip_with_a_link_is_refused_whole(slots: Slots, versions: Versions, tmp_path: Path) -> None:
    archive = zipped(versions("0.2.0"), tmp_path / "b.zip")
    with zipfile.ZipFile(archive, "a") as out:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        out.writestr(info, "/etc/passwd")
    with pytest.raises(UpdateError, match="link"):
        install(slots, str(archive), UPDATES)


def test_an_archive_that_unpacks_to_more_than_a_bundle_may_be_is_refused(
    slots: Slots, versions: Versions, tmp_path: Path
) -> None:
    folder = versions("0.2.0")
    (folder / "zeros").write_bytes(bytes(30_000_000))
    archive = pack(folder, tmp_path / "b.tar.gz", mode="w:gz")
    assert archive.stat().st_size < 1_000_000
    with pytest.raises(UpdateError, match="more than a bundle may"):
        install(slots, str(archive), UpdatesSection(max_bundle_mb=10))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"", "cannot be unpacked", id="empty"),
        pytest.param(b"not an archive at all" * 99, "it is no archive", id="no archive"),
        pytest.param(gzip.compress(b"not a tar" * 99), "cannot be unpacked", id="gzip of no tar"),
    ],
)
def test_what_is_no_archive_is_named(slots: Slots, tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "b.tar").write_bytes(data)
    with pytest.raises(UpdateError, match=says):
        install(slots, str(tmp_path / "b.tar"), UPDATES)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_half_an_archive_is_not_installed(
    slots: Slots, versions: Versions, tmp_path: Path, share: float, kind: str
) -> None:
    folder = versions("0.2.0")
    archive = tmp_path / f"b.{kind}"
    if kind == "zip":
        zipped(folder, archive)
    else:
        pack(folder, archive, mode="w" if kind == "tar" else "w:gz")
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)])
    with pytest.raises((UpdateError, BundleError)):
        install(slots, str(archive), UPDATES)
    assert slots.table().candidate is None
    assert [path.name for path in slots.folder.iterdir() if path.is_dir()] == []


def test_an_archive_without_a_bundle_and_one_with_two_are_refused(
    slots: Slots, versions: Versions, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").touch()
    with pytest.raises(UpdateError, match=r"no bundle\.json"):
        install(slots, str(pack(tmp_path / "thesis", tmp_path / "a.tar")), UPDATES)
    two = pack(versions("0.2.0"), tmp_path / "b.tar", prefix="a/")
    with tarfile.open(two, "a") as out:
        out.add(versions("0.3.0") / "bundle.json", "b/bundle.json")
    with pytest.raises(UpdateError, match="more than one"):
        install(slots, str(two), UPDATES)


def test_a_digest_that_was_given_must_be_the_archives(
    slots: Slots, versions: Versions, tmp_path: Path
) -> None:
    archive = pack(versions("0.2.0"), tmp_path / "b.tar")
    right = hashlib.sha256(archive.read_bytes()).hexdigest()
    with pytest.raises(BundleTamperedError):
        install(slots, str(archive), UPDATES, sha256="0" * 64)
    install(slots, str(archive), UPDATES, sha256=right.upper())


def test_a_source_that_is_not_there_is_named(slots: Slots) -> None:
    with pytest.raises(UpdateError, match="no such file"):
        install(slots, "nowhere.tar", UPDATES)


# Trust.


@pytest.fixture
def strict(keys: Keys) -> UpdatesSection:
    return UpdatesSection(require_signature=True, public_key=keys.public)


def test_only_what_the_pinned_key_signed_is_installed_and_run(
    versions: Versions, keys: Keys, strict: UpdatesSection, tmp_path: Path
) -> None:
    slots = open_slots(strict, tmp_path)
    folder = versions("0.2.0")
    for source in (folder, pack(folder, tmp_path / "unsigned.tar")):
        with pytest.raises(BundleSignatureError, match=rf"^bundle {source}: has no bundle\.sig"):
            install(slots, str(source), strict)
    sign_bundle(folder, keys.private)
    for source in (folder, pack(folder, tmp_path / "b.tar")):
        candidate = install(slots, str(source), strict)
    slots.mark(candidate.digest, "checked")
    slots.commit()
    assert slots.running().slot == "current"
    (slots.folder / candidate.folder / "bundle.sig").unlink()
    assert slots.running().slot == "shipped"
    assert "bundle.sig" in slots.running().problem


# Downloads.


@pytest.fixture
def trusting(certificates: Certificates) -> UpdatesSection:
    return UpdatesSection(ca_file=certificates / "ca.pem", max_bundle_mb=5)


@pytest.fixture
def archive_bytes(versions: Versions, tmp_path: Path) -> bytes:
    return pack(versions("0.2.0"), tmp_path / "served.tar").read_bytes()


def test_a_bundle_comes_over_https(
    slots: Slots, file_server: StartServer, archive_bytes: bytes, trusting: UpdatesSection
) -> None:
    told: list[tuple[int, int | None]] = []
    server = file_server(archive_bytes)
    install(slots, server.url, trusting, progress=lambda done, total: told.append((done, total)))
    assert slots.table().candidate.version == "0.2.0"
    assert told[-1] == (len(archive_bytes), len(archive_bytes))
    assert list((slots.folder / "downloads").iterdir()) == []


@pytest.mark.parametrize("tells_length", [True, False])
def test_half_a_download_goes_on_where_it_broke(
    slots: Slots, file_server: StartServer, archive_bytes: bytes, trusting: UpdatesSection, tells_length: bool
) -> None:
    size = len(archive_bytes)
    server = file_server(archive_bytes, breaks_after=size // 10)
    with pytest.raises(UpdateError, match=r"are kept, and the next try goes on there"):
        install(slots, server.url, trusting)
    assert slots.table().candidate is None
    assert server.ranges == [None, *(f"bytes={size // 10 * step}-" for step in range(1, downloading.TRIES))]
    server.ranges.clear()
    server.breaks_after, server.tells_length = None, tells_length
    install(slots, server.url, trusting)
    assert server.ranges == [f"bytes={size // 10 * downloading.TRIES}-"]
    assert slots.table().candidate.version == "0.2.0"


@pytest.mark.parametrize("reason", ["the file changed", "the server knows no ranges"])
def test_a_download_begins_again_when_the_rest_cannot_be_had(
    slots: Slots,
    versions: Versions,
    tmp_path: Path,
    file_server: StartServer,
    archive_bytes: bytes,
    trusting: UpdatesSection,
    reason: str,
) -> None:
    server = file_server(archive_bytes, breaks_after=3000)
    with pytest.raises(UpdateError):
        install(slots, server.url, trusting)
    server.breaks_after = None
    if reason == "the file changed":
        server.data, server.etag = pack(versions("0.3.0"), tmp_path / "b.tar").read_bytes(), '"two"'
    else:
        server.knows_ranges = False
    install(slots, server.url, trusting)
    assert slots.table().candidate.version == ("0.3.0" if reason == "the file changed" else "0.2.0")


def test_a_redirect_to_http_is_refused(
    slots: Slots, file_server: StartServer, trusting: UpdatesSection
) -> None:
    server = file_server(redirect="http://127.0.0.1:9/bundle.tar")
    with pytest.raises(UpdateError, match="which is not https"):
        install(slots, server.url, trusting)


def test_a_redirect_to_https_is_followed(
    slots: Slots, file_server: StartServer, archive_bytes: bytes, trusting: UpdatesSection
) -> None:
    behind = file_server(archive_bytes)
    install(slots, file_server(redirect=behind.url).url, trusting)
    assert slots.table().candidate.version == "0.2.0"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1/b.tar", "is not https"),
        ("ftp://127.0.0.1/b.tar", "is not https"),
        ("file:///etc/passwd", "is not https"),
        ("https://127.0.0.1:1/b.tar", "the connection failed"),
    ],
)
def test_an_address_that_gives_nothing_is_named(
    slots: Slots, trusting: UpdatesSection, url: str, says: str
) -> None:
    with pytest.raises(UpdateError, match=says):
        install(slots, url, trusting)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param({"status": 404}, "says 404", id="not found"),
        pytest.param({"status": 403}, "says 403", id="forbidden"),
        pytest.param({"certificate": "misnamed"}, "not trusted", id="certificate of another name"),
        pytest.param({"data": bytes(6_000_000)}, "longer than 5 MB", id="too long"),
        pytest.param(
            {"data": bytes(6_000_000), "tells_length": False}, "longer than 5 MB", id="too long, unsaid"
        ),
    ],
)
def test_a_download_that_cannot_be_had_says_why(
    slots: Slots, file_server: StartServer, trusting: UpdatesSection, settings: dict, says: str
) -> None:
    server = file_server(**settings)
    with pytest.raises(UpdateError, match=says):
        install(slots, server.url, trusting)
    assert slots.table().candidate is None


def test_a_certificate_of_a_stranger_is_not_trusted(
    slots: Slots, file_server: StartServer, certificates: Certificates, archive_bytes: bytes
) -> None:
    stranger = UpdatesSection(ca_file=certificates / "stranger.pem")
    with pytest.raises(UpdateError, match="not trusted"):
        install(slots, file_server(archive_bytes).url, stranger)


def test_secrets_of_an_address_do_not_show(slots: Slots, trusting: UpdatesSection) -> None:
    with pytest.raises(UpdateError) as caught:
        install(slots, "https://me:secret@127.0.0.1:1/b.tar?token=secret", trusting)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("bundle", "repository", "expected"),
    [
        ("hafnet@1.2.0", "https://school.example/b", "https://school.example/b/hafnet-1.2.0.tar"),
        ("hafnet@1.2.0", "https://school.example/b/", "https://school.example/b/hafnet-1.2.0.tar"),
        ("https://x.example/y.tar", None, "https://x.example/y.tar"),
        ("hafnet@1.2.0", None, None),
        ("hafnet", "https://school.example", None),
        ("../hafnet@1.2.0", "https://school.example", None),
        ("http://x.example/y.tar", "https://school.example", None),
    ],
)
def test_a_name_is_looked_for_in_the_repository(
    bundle: str, repository: str | None, expected: str | None
) -> None:
    settings = UpdatesSection(repository=repository)
    if expected is None:
        with pytest.raises(UpdateError):
            url_of(bundle, settings)
    else:
        assert url_of(bundle, settings) == expected
