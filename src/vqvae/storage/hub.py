"""Folders of a trained model on the Hugging Face Hub: their addresses, down, and up. The only importer of huggingface_hub.

An address is ``hf:OWNER/NAME``, or ``hf:OWNER/NAME@REVISION`` for a branch, a tag or a commit. ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HOME``
and ``HF_HUB_OFFLINE`` have their usual meaning.
"""

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from vqvae.config import shown
from vqvae.errors import ConfigError, HubError, MissingExtraError

PREFIX = "hf:"
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,199}", re.ASCII)
_CACHED = re.compile(r"models--(.+)--(.+)")


class Address(NamedTuple):
    """A model on the Hub."""

    name: str
    """OWNER/NAME."""
    revision: str | None = None
    """A branch, a tag or a commit. None: the default branch."""

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}" + (f"@{self.revision}" if self.revision else "")


def is_address(place: Any) -> bool:
    """Whether a user's text or path starts with ``hf:``."""
    return isinstance(place, (str, os.PathLike)) and str(place).startswith(PREFIX)


def read_address(text: str | Path) -> Address:
    """The parts of an address, with or without ``hf:`` in front.

    Raises:
        ConfigError: it is not an address.
    """
    # A path has lost one slash of hf://.
    name, at, revision = str(text).removeprefix(PREFIX).lstrip("/").partition("@")
    if not _NAME.fullmatch(name) or "--" in name or ".." in name:
        raise ConfigError(
            f"{shown(str(text))} is not the name of a model on the Hub. Expected {PREFIX}OWNER/NAME or {PREFIX}OWNER/NAME@REVISION, such "
            f"as {PREFIX}alice/photos. Names have letters, digits, '-', '_' and '.'."
        )
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ConfigError(f"The revision {shown(revision)} is not valid. Give a branch, a tag or a commit: {PREFIX}{name}@main.")
    return Address(name, revision or None)


def download(address: Address, patterns: Sequence[str], needed: str) -> Path:
    """The local copy of a model, updated if the Hub can be reached. It lies in the Hub's cache; nobody may change it.

    Args:
        address: the model.
        patterns: the files to download, as in ``fnmatch``. Nothing else is.
        needed: a file without which the model is not one of this package.

    Raises:
        HubError: there is no such model or revision, access is denied, or there is no network and no earlier copy.
        MissingExtraError: huggingface_hub is not installed.
    """
    with _explained(address, "the Hub does not answer, and there is no complete copy on this machine"):
        folder = Path(_api().snapshot_download(address.name, revision=address.revision, allow_patterns=list(patterns)))
    if not (folder / needed).is_file():
        raise HubError(f"{address} is not a vqvae model: it has no file {needed}. 'vqvae push RUN OWNER/NAME' uploads one that has.")
    return folder


def upload(folder: Path, name: str, patterns: Sequence[str], *, private: bool = False) -> str:
    """Make a folder the content of a model on the Hub, in one commit. The model is created if there is none.

    Args:
        folder: the folder.
        name: OWNER/NAME.
        patterns: the files to upload, as in ``fnmatch``. Files on the Hub that match and are not in the folder are deleted.
        private: whether a new model is visible only to its owner.

    Returns:
        The page of the model.

    Raises:
        ConfigError: the name is not valid or contains a revision.
        HubError: there is no token or no network, or access is denied.
        MissingExtraError: huggingface_hub is not installed.
    """
    address, api = read_address(name), _api()
    if address.revision is not None:
        raise ConfigError(f"{shown(str(name))} has a revision. A push goes to the default branch: {address.name}.")
    if api.token is None:
        raise HubError("There is no token for the Hub. Log in with 'hf auth login', or set HF_TOKEN to a token with write access.")
    with _explained(address, "the Hub does not answer, so nothing was uploaded"):
        page = api.create_repo(address.name, private=private or None, exist_ok=True)
        api.upload_folder(
            repo_id=address.name,
            folder_path=folder,
            commit_message="Upload with vqvae",
            allow_patterns=list(patterns),
            delete_patterns=list(patterns),
        )
    return str(page)


def cached_name(folder: Path) -> str | None:
    """OWNER/NAME of a folder that ``download`` returned; None for any other folder."""
    match = _CACHED.fullmatch(folder.parent.parent.name)
    return f"{match[1]}/{match[2]}" if match and folder.parent.name == "snapshots" else None


def _hub() -> Any:
    try:
        import huggingface_hub.errors  # It is not an attribute of the package before it is imported.
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub") from error
    return huggingface_hub


def _api() -> Any:
    """The Hub of this environment, as it is now."""
    hub = _hub()
    return hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=hub.get_token(), library_name="vqvae")


@contextmanager
def _explained(address: Address, lost: str) -> Iterator[None]:
    """Turn the Hub's errors into a HubError that says what to do. ``lost`` is the result if there is no network."""
    hub = _hub()
    kinds, login = hub.errors, "log in with 'hf auth login' or set HF_TOKEN"
    try:
        with warnings.catch_warnings():
            # huggingface_hub calls its HTTP client in ways that the client deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    except kinds.GatedRepoError as error:
        raise HubError(f"{address} is gated: ask for access on its page, then {login}.") from error
    except kinds.RevisionNotFoundError as error:
        raise HubError(
            f"{address.name} has no revision {address.revision or 'main'!r}. Give one of its branches, tags or commits."
        ) from error
    except kinds.RepositoryNotFoundError as error:
        raise HubError(
            f"There is no model {address.name} on the Hub, or it is private. Check the name; if it is private, {login}."
        ) from error
    except kinds.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise HubError(f"The Hub denied access to {address} (status {status}). Check that your token may do this: {login}.") from error
        raise HubError(f"The Hub answered {status} for {address}. Try again later.") from error
    except RuntimeError as error:
        raise HubError(f"{address}: the Hub did not take a file ({error}). Run the command again.") from error
    except kinds.HfHubHTTPError.__bases__ as error:  # OSError, and the HTTP client's own error.
        if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
            raise HubError(f"{address} cannot be stored: {error.filename}: {error.strerror}. Free space, or set HF_HOME.") from error
        raise HubError(f"{address} cannot be reached: {lost}. Check the network and HF_HUB_OFFLINE.") from error
