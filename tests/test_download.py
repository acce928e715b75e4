"""Downloads against a server on this machine; archives, good and damaged."""

import gzip
import hashlib
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import files_in, make_folder, make_tar, make_zip

from attention_dynamics.cli import InputError
from attention_dynamics.files import archives, download
from attention_dynamics.files.download import PublicFile

CONTENT = bytes(range(256)) * 1000
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    """A server with /good, /cut (which closes half-way) and /cut-chunks; all else is a 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.server.requested.append(self.path)
            if self.path not in ("/good", "/cut", "/cut-chunks"):
                self.send_error(404)
                return
            self.send_response(200)
            if self.path == "/cut-chunks":
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT[:50_000])
            else:
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT if self.path == "/good" else CONTENT[:50_000])
            self.close_connection = True

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requested = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=[0.01])  # seconds between polls
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_good_file_is_fetched_once_and_quietly(server, tmp_path, capfd):
    file = PublicFile("sub/file.bin", f"{server.url}/good", SHA256)
    for _ in range(2):
        path = download.fetch(file, tmp_path / "downloads")
        assert path == tmp_path / "downloads" / "sub" / "file.bin"
        assert path.read_bytes() == CONTENT
    assert server.requested == ["/good"]
    assert capfd.readouterr() == ("", "")


def test_md5_checksums_are_understood(server, tmp_path):
    checksum = "md5:" + hashlib.md5(CONTENT).hexdigest()
    download.fetch(PublicFile("file", f"{server.url}/good", checksum), tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_without_a_checksum_what_was_read_is_printed(server, tmp_path, capsys):
    download.fetch(PublicFile("file", f"{server.url}/good"), tmp_path)
    output = capsys.readouterr().out
    assert "no checksum is published" in output
    assert SHA256.removeprefix("sha256:") in output and "256,000 bytes" in output
    assert output.count("\n") == 1


@pytest.mark.parametrize(
    ("page", "checksum", "message"),
    [
        ("/good", "sha256:" + "0" * 64, "not the file expected"),
        ("/cut", SHA256, "cut"),
        ("/cut", None, "cut"),
        ("/cut-chunks", None, "cut"),
        ("/elsewhere", None, "404 Not Found"),
    ],
)
def test_what_fails_leaves_nothing_and_says_what_to_do(server, tmp_path, page, checksum, message):
    with pytest.raises(InputError) as error:
        download.fetch(PublicFile("file", server.url + page, checksum), tmp_path)
    assert message in str(error.value)
    assert server.url + page in str(error.value) and "--source" in str(error.value)
    assert "\n" not in str(error.value)
    assert files_in(tmp_path) == {}


def test_no_network(server, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_port
    with pytest.raises(InputError, match=r"could not be reached.*--source"):
        download.fetch(PublicFile("file", f"http://127.0.0.1:{port}/good"), tmp_path)


def test_a_failure_keeps_the_file_that_was_there_and_a_success_replaces_it(server, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(InputError):
        download.fetch(PublicFile("file", f"{server.url}/cut", SHA256), tmp_path)
    assert (tmp_path / "file").read_bytes() == b"old"
    download.fetch(PublicFile("file", f"{server.url}/good", SHA256), tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made_is_one_line(server, tmp_path):
    (tmp_path / "downloads").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="could not be written"):
        download.fetch(PublicFile("file", f"{server.url}/good", SHA256), tmp_path / "downloads")


def test_locate_finds_public_names_and_compares_checksums(tmp_path, capsys):
    files = [
        PublicFile("corpus/a.csv", "http://x/a", SHA256),
        PublicFile("corpus/b.csv", "http://x/b"),
    ]
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.csv").write_bytes(CONTENT)
    (tmp_path / "corpus" / "b.csv").write_bytes(CONTENT)
    expected = [tmp_path / "corpus" / name for name in ("a.csv", "b.csv")]
    for source in (tmp_path, tmp_path / "corpus"):
        assert download.locate(files, source, tmp_path / "unused") == expected
    capsys.readouterr()
    (tmp_path / "corpus" / "a.csv").write_bytes(b"changed")
    download.locate(files[:1], tmp_path, tmp_path / "unused")
    assert capsys.readouterr().out.count("differs from the public file") == 1
    assert not (tmp_path / "unused").exists()


def test_locate_takes_other_sources_as_they_are(tmp_path):
    other = tmp_path / "mine.zip"
    other.write_bytes(b"")
    files = [PublicFile("corpus.zip", "http://x/corpus.zip")]
    assert download.locate(files, other, tmp_path) == [other]
    assert download.locate(files, tmp_path, tmp_path) == [tmp_path]
    with pytest.raises(InputError, match="no such file"):
        download.locate(files, tmp_path / "absent", tmp_path)


def test_generated_data_has_no_source(tmp_path):
    assert download.locate((), None, tmp_path) == []
    with pytest.raises(InputError, match="generated, it has no source"):
        download.locate((), tmp_path, tmp_path)


def read_all(path, *patterns):
    return sorted((p, file.read()) for p, file in archives.read_files([path], patterns))


FILES = {"top/a/1.txt": b"one", "top/a/2.txt": b"two", "top/b.csv": b"three", "top/c/d/1.txt": b"-"}


@pytest.mark.parametrize("strip", ["", "top/", "./"])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (make_tar, "x.tar"),
        (make_tar, "x.tar.gz"),
        (make_tar, "5975967.gz"),
        (make_zip, "x.zip"),
        (make_folder, "x"),
    ],
)
def test_the_same_files_are_found_in_every_kind_of_source(tmp_path, make, name, strip):
    files = {name.removeprefix("top/"): data for name, data in FILES.items()} if strip else FILES
    if strip == "./":
        files = {"./top/" + name: data for name, data in files.items()}
    path = make(tmp_path / name, files)
    before = files_in(tmp_path)
    assert read_all(path, "top/a/*.txt", "top/b.csv") == [
        ("top/a/*.txt", b"one"),
        ("top/a/*.txt", b"two"),
        ("top/b.csv", b"three"),
    ]
    assert files_in(tmp_path) == before
    with pytest.raises(InputError, match=r"no top/absent\.csv and no top/e/\*"):
        read_all(path, "top/b.csv", "top/e/*", "top/absent.csv")


def test_single_files_plain_and_gz(tmp_path):
    plain = make_folder(tmp_path, {"train.de": "Größe\r\nzwei".encode()}) / "train.de"
    zipped = tmp_path / "sub" / "train.de.gz"
    zipped.parent.mkdir()
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, zipped, zipped.parent):
        [(_, file)] = [
            (p, list(archives.text_lines(f)))
            for p, f in archives.read_files([path], ["x/train.de"])
        ]
        assert file == ["Größe", "zwei"]


def link(kind, name, target="/etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_member_that_is_no_file_is_passed_over(tmp_path, kind):
    path = make_tar(tmp_path / "x.tgz", {"b.csv": b"good"}, [link(kind, "c.csv")])
    assert read_all(path, "*.csv") == [("*.csv", b"good")]
    with pytest.raises(InputError, match=r"no c\.csv"):
        read_all(path, "c.csv")


@pytest.mark.parametrize("damage", ["cut", "flipped", "headless", "empty", "page"])
@pytest.mark.parametrize(("make", "name"), [(make_tar, "x.tar.gz"), (make_zip, "x.zip")])
def test_damaged_archives_are_one_line(tmp_path, make, name, damage):
    noise = hashlib.shake_256(b"noise").digest(20_000)
    path = make(tmp_path / name, {"b.csv": noise})
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "flipped":
        data[len(data) // 2] ^= 255
    elif damage == "headless":
        data[:2] = b"??"
    elif damage == "empty":
        data.clear()
    else:
        data[:] = b"<html>Moved</html>"
    path.write_bytes(data)
    with pytest.raises(InputError, match="is damaged") as error:
        read_all(path, "b.csv")
    assert "\n" not in str(error.value)


def test_a_truncated_gz_and_bytes_of_another_encoding(tmp_path):
    path = tmp_path / "train.de.gz"
    path.write_bytes(gzip.compress(CONTENT)[:-10])
    with pytest.raises(InputError, match="is damaged"):
        read_all(path, "train.de")
    (tmp_path / "train.en").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(InputError, match="not utf-8"):
        for _, file in archives.read_files([tmp_path], ["train.en"]):
            list(archives.text_lines(file))
