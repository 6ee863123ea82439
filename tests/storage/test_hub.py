"""Models on the Hub: addresses, download, upload, and errors, against a stand-in server."""

import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.storage.hub_server import Hub
from vqvae.errors import ConfigError, HubError, MissingExtraError
from vqvae.storage import hub as storage_hub
from vqvae.storage.hub import Address, cached_name, download, is_address, read_address, upload

PATTERNS = ("tokenizer/config.json", "tokenizer/weights.safetensors")


def folder_of(path: Path, **files: str) -> Path:
    for name, text in files.items():
        place = path / "tokenizer" / name.replace("_", ".")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return path


def test_an_address_is_read() -> None:
    assert read_address("hf:alice/photos") == Address("alice/photos") == read_address(Path("hf://alice/photos"))
    assert str(read_address("alice/photos@v1.0")) == "hf:alice/photos@v1.0"
    assert is_address("hf:a/b") and is_address(Path("hf:a/b")) and not is_address("runs/hf") and not is_address(3)


@pytest.mark.parametrize(
    "text", ["hf:alice", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b c", "hf:a/b@", "hf:a/b@../c", "hf:", "hf:a/b--c", "hf:a/b\0"]
)
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"hf:OWNER/NAME|is not valid"):
        read_address(text)


def test_a_folder_goes_up_and_comes_back(hub: Hub, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", config_json="{}", weights_safetensors="w", evil_pkl="x")
    page = upload(folder, "alice/photos", PATTERNS, private=True)
    assert page == f"{hub.url}/alice/photos" and "alice/photos" in hub.private
    assert set(hub.commits["alice/photos"][-1]) == set(PATTERNS)
    again = download(Address("alice/photos"), PATTERNS, PATTERNS[0])
    assert (again / PATTERNS[1]).read_text() == "w" and cached_name(again) == "alice/photos"
    assert cached_name(folder) is None


def test_only_wanted_files_are_downloaded(hub: Hub) -> None:
    hub.commits["bob/m"] = [{PATTERNS[0]: b"{}", "tokenizer/weights.bin": b"pickle", "model.safetensors": b"w", "run.py": b"import os"}]
    folder = download(Address("bob/m"), PATTERNS, PATTERNS[0])
    assert hub.served == [PATTERNS[0]]
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["config.json"]


def test_a_second_upload_deletes_what_is_gone(hub: Hub, tmp_path: Path) -> None:
    upload(folder_of(tmp_path / "a", config_json="{}", weights_safetensors="w"), "alice/m", PATTERNS)
    hub.tags["alice/m"] = {"v1": len(hub.commits["alice/m"]) - 1}
    upload(folder_of(tmp_path / "b", config_json="{ }"), "hf:alice/m", PATTERNS)
    assert set(hub.commits["alice/m"][-1]) == {PATTERNS[0]}
    old = download(Address("alice/m", "v1"), PATTERNS, PATTERNS[0])
    assert (old / PATTERNS[0]).read_text() == "{}" and (old / PATTERNS[1]).is_file()


def test_each_failure_says_what_to_do(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commits["bob/m"] = [{"README.md": b""}]
    for address, words in (
        (Address("bob/nothing"), "no model bob/nothing"),
        (Address("bob/m", "v9"), "no revision 'v9'"),
        (Address("bob/m"), "not a vqvae model"),
    ):
        with pytest.raises(HubError, match=words):
            download(address, PATTERNS, PATTERNS[0])
    with pytest.raises(HubError, match=r"denied access .*403"):
        upload(folder_of(tmp_path / "run", config_json="{}"), "other/m", PATTERNS)
    with pytest.raises(ConfigError, match="default branch"):
        upload(tmp_path, "alice/m@v1", PATTERNS)
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(HubError, match=r"denied access .*401"):
        upload(tmp_path / "run", "alice/m", PATTERNS)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="hf auth login"):
        upload(tmp_path / "run", "alice/m", PATTERNS)
    hub.private.add("bob/m")
    with pytest.raises(HubError, match="it is private"):
        download(Address("bob/m"), PATTERNS, PATTERNS[0])


def test_without_a_network_an_earlier_copy_is_used(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commits["bob/m"] = [{PATTERNS[0]: b"{}"}]
    download(Address("bob/m"), PATTERNS, PATTERNS[0])
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert (download(Address("bob/m"), PATTERNS, PATTERNS[0]) / PATTERNS[0]).read_text() == "{}"
    with pytest.raises(HubError, match="cannot be reached"):
        download(Address("bob/other"), PATTERNS, PATTERNS[0])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        download(Address("bob/other"), PATTERNS, PATTERNS[0])
    with pytest.raises(HubError, match="cannot be reached"):
        upload(Path(), "alice/m", PATTERNS)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"vqvae\[hub\]"):
        storage_hub.download(Address("a/b"), PATTERNS, PATTERNS[0])
