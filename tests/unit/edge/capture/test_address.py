from __future__ import annotations

from pathlib import Path

import pytest

from secondlook.edge.capture.address import SourceAddress, SourceKind
from secondlook.edge.capture.sources import source_for
from secondlook.edge.capture.sources.images import ImageSource
from secondlook.shared.errors import InvalidInput
from secondlook.shared.redaction import redact


@pytest.mark.parametrize(
    ("url", "kind", "target"),
    [
        ("clips/a.mp4", SourceKind.FILE, "clips/a.mp4"),
        ("/a b/c.avi", SourceKind.FILE, "/a b/c.avi"),
        ("file:///a%20b/c.avi", SourceKind.FILE, "/a b/c.avi"),
        ("file://localhost/c.avi", SourceKind.FILE, "/c.avi"),
        ("still.PNG", SourceKind.IMAGES, "still.PNG"),
        ("rtsp://cam/1", SourceKind.NETWORK, "rtsp://cam/1"),
        ("RTSP://cam:554/1", SourceKind.NETWORK, "RTSP://cam:554/1"),
        ("https://cam/live.m3u8", SourceKind.NETWORK, "https://cam/live.m3u8"),
        ("/dev/video0", SourceKind.V4L2, "/dev/video0"),
        ("v4l2:///dev/video2?fps=30", SourceKind.V4L2, "/dev/video2?fps=30"),
        ("gst://videotestsrc ! appsink", SourceKind.GSTREAMER, "videotestsrc ! appsink"),
        ("gst://multifilesrc location=%05d.jpg", SourceKind.GSTREAMER,
         "multifilesrc location=%05d.jpg"),
        ("sim://street?seed=3", SourceKind.SIM, "sim://street?seed=3"),
    ],
)  # fmt: skip
def test_understands(url: str, kind: SourceKind, target: str) -> None:
    address = SourceAddress.parse(url)
    assert (address.kind, address.target) == (kind, target)


def test_a_folder_is_told_from_a_file_by_the_one_who_reads_it(tmp_path: Path) -> None:
    for url in (str(tmp_path), tmp_path.as_uri()):
        assert SourceAddress.parse(url).kind is SourceKind.FILE
        assert isinstance(source_for(url), ImageSource)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("a\0b", "empty"),
        ("ftp://cam/1", "unknown scheme ftp://.*rtsp.*v4l2.*gst.*sim"),
        ("rtsp://", "no host"),
        ("rtsp:///path", "no host"),
        ("rtsp://cam:notaport/1", "port is malformed"),
        ("rtsp://cam:99999/1", "port is malformed"),
        ("rtsp://[::1/1", "host or port"),
        ("v4l2://video0", "/dev/video0"),
        ("gst://", "pipeline"),
    ],
)
def test_refuses_what_can_never_work(url: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        SourceAddress.parse(url)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:hunter2@cam/1", "rtsp://admin:***@cam/1"),
        ("rtsp://admin:p@ss:w@cam/1", "rtsp://admin:***@cam/1"),
        ("rtsp://admin:hun/ter@cam/1", "rtsp://admin:***@cam/1"),
        ("rtsp://hunter2@cam/1", "rtsp://***@cam/1"),
        ("http://cam/a?user=me&password=hunter2&x=1", "http://cam/a?user=me&password=***&x=1"),
        ("http://cam/a?access_token=hunter2", "http://cam/a?access_token=***"),
        (
            "gst://rtspsrc location=rtsp://a:hunter2@cam user-id=a user-pw=hunter2 ! appsink",
            "gst://rtspsrc location=rtsp://a:***@cam user-id=a user-pw=*** ! appsink",
        ),
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("mail me@home.org", "mail me@home.org"),
    ],
)
def test_shows_no_secrets(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_scrubs_the_password_however_a_library_writes_it() -> None:
    address = SourceAddress.parse("rtsp://admin:hun%2Fter@cam/1")
    said = "401 for admin/hun/ter (hun%2Fter) at rtsp://admin:hun%2Fter@cam/1"
    assert address.scrub(said) == "401 for admin/*** (***) at rtsp://admin:***@cam/1"
    assert "hun" not in address.shown


def test_errors_show_no_password() -> None:
    with pytest.raises(InvalidInput) as caught:
        SourceAddress.parse("rtspx://admin:hunter2@cam/1")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        SourceAddress.parse("rtsp://admin:hunter2@cam:port/1")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        SourceAddress.parse("rtsp://admin:hun/ter2@cam/1")
    assert "hun" not in str(caught.value)
