import hashlib
import os
from unittest.mock import MagicMock

import pytest

from scaling import contents
from scaling.contents import digest
from scaling.loading.hub import HubId, find_file, find_folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A hub cache with one file of owner/name in it, and a hub that must not be asked."""
    snapshot = tmp_path / "models--owner--name" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model.pt").write_bytes(b"weights")
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "models--owner--name" / "refs").mkdir()
    (tmp_path / "models--owner--name" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return snapshot


@pytest.fixture
def hub(cache, monkeypatch):
    """The cache, and a hub that answers with an error of one's choice to what the cache lacks."""
    import huggingface_hub

    cached = huggingface_hub.hf_hub_download

    def answer(error):
        def download(*args, local_files_only=False, **kwargs):
            if local_files_only:
                return cached(*args, local_files_only=True, **kwargs)
            raise error

        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)

    return answer


def refusal(path, **options):
    with pytest.raises(ValueError) as caught:
        find_file(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_local_paths_come_first(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"a")
    assert find_file(tmp_path / "a.pt") == tmp_path / "a.pt"
    (tmp_path / "._a.pt").write_bytes(b"what a Mac leaves beside it on other disks")
    assert find_file(tmp_path) == tmp_path / "a.pt"
    assert find_file(tmp_path, "a.pt") == tmp_path / "a.pt"
    assert find_folder(tmp_path, ["*.pt"]) == tmp_path


def test_a_cached_file_needs_no_hub(cache):
    assert find_file("owner/name/model.pt").read_bytes() == b"weights"
    assert find_file("owner/name", "model.pt") == cache / "model.pt"
    assert find_folder("owner/name", ["config.json", "*.pt"]) == cache


def test_offline_names_the_command(cache):
    message = refusal("owner/name/other.pt")
    assert "HF_HUB_OFFLINE" in message
    assert message.endswith("hf download owner/name other.pt")
    assert refusal("owner/data@v1/a.csv", kind="dataset").endswith(
        "hf download owner/data a.csv --repo-type dataset --revision v1"
    )
    with pytest.raises(ValueError, match=r"hf download owner/name --include 'config\.json' --include '\*\.bin'"):
        find_folder("owner/name", ["config.json", "*.bin"])


def test_gated_missing_and_unreachable_are_told_apart(hub):
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
    )

    response = MagicMock()
    hub(GatedRepoError("403\n\nlong story", response=response))
    message = refusal("owner/gated/model.pt")
    assert "https://huggingface.co/owner/gated" in message
    assert "hf auth login" in message
    hub(RepositoryNotFoundError("404 Client Error.\nmore", response=response))
    assert "404 Client Error." in refusal("owner/typo/model.pt")
    hub(RemoteEntryNotFoundError("no such file", response=response))
    assert "no such file" in refusal("owner/name/typo.pt")
    hub(LocalEntryNotFoundError("no connection"))
    assert "out of reach" in refusal("owner/name/other.pt")


def test_what_is_no_id_is_no_local_path_either(cache, tmp_path):
    assert "there is nothing at ./nowhere.pt" in refusal("./nowhere.pt")
    assert "one file is needed" in refusal("owner/name")
    with pytest.raises(ValueError, match="lacks"):
        find_folder(tmp_path, ["*.json"])
    (tmp_path / "a.pt").touch()
    (tmp_path / "b.pt").touch()
    assert "a.pt, b.pt" in refusal(tmp_path)


def test_ids():
    assert HubId.parse("a/b") == HubId("a/b")
    assert HubId.parse("a/b@v1/c/d.pt") == HubId("a/b", "v1", "c/d.pt")


def test_digests_follow_content_not_names(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for folder in ("one", "two"):
        (tmp_path / folder / "w.bin").write_bytes(b"1")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    (tmp_path / "two" / "w.bin").write_bytes(b"22")
    assert digest(tmp_path / "one") != digest(tmp_path / "two")
    assert digest(tmp_path / "one" / "w.bin") != digest(tmp_path / "two" / "w.bin")


def counted(monkeypatch):
    """How many files were read for their digests, as a list that grows."""
    reads, whole = [], hashlib.file_digest

    def file_digest(*arguments):
        reads.append(arguments)
        return whole(*arguments)

    monkeypatch.setattr(hashlib, "file_digest", file_digest)
    return reads


def test_a_large_file_is_hashed_once_a_process_unless_it_changes(tmp_path, monkeypatch):
    path, reads = tmp_path / "weights.bin", counted(monkeypatch)
    content = bytearray(contents.LARGE)
    path.write_bytes(content)
    assert digest(path) == digest(path) == hashlib.sha256(content).hexdigest()
    assert len(reads) == 1
    before = path.stat()
    content[0] = 1
    other = tmp_path / "other.bin"
    other.write_bytes(content)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)  # of equal size and time
    assert digest(path) == hashlib.sha256(content).hexdigest()


def test_a_small_file_is_hashed_each_time(tmp_path, monkeypatch):
    path, reads = tmp_path / "judge.py", counted(monkeypatch)
    path.write_bytes(b"1")
    assert digest(path) == digest(path)
    assert len(reads) == 2


def test_the_hubs_cache_says_the_digest(tmp_path, monkeypatch):
    reads, content = counted(monkeypatch), b"weights"
    name = hashlib.sha256(content).hexdigest()
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / name).write_bytes(content)
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blobs" / name)
    (tmp_path / "blobs" / name[:40]).write_bytes(b"{}")  # small files are named by git's sha1
    (tmp_path / "config.json").symlink_to(tmp_path / "blobs" / name[:40])
    assert digest(tmp_path / "model.safetensors") == name
    assert not reads
    assert digest(tmp_path / "config.json") == hashlib.sha256(b"{}").hexdigest()
