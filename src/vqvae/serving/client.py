"""A server from Python, with the methods of a pipeline. It needs the standard library and what the package needs anyway."""

import base64
import http.client
import io
import json
import threading
import urllib.parse
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vqvae.codes import Codes, Level
from vqvae.disk import user_path
from vqvae.errors import BitstreamError, ConfigError, DataError, VqvaeError
from vqvae.pipeline.model import Data
from vqvae.pipeline.parts import codes_of
from vqvae.serving.wire import codes_to_json, file_of
from vqvae.signals import Signal

_ERRORS = {400: DataError, 413: DataError, 415: DataError, 404: ConfigError, 422: ConfigError}
"""The errors that a pipeline would raise, by status; others are plain."""
_SECONDS = 120.0


class ServerError(VqvaeError):
    """A server that cannot be reached, or that does not answer a request."""


class Client:
    """The models of a server of ``vqvae serve``.

    Data is a tensor, an array, a picture, or the path of a file. Results are what the methods of ``Pipeline`` return.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8000", token: str | None = None, *, model: str | None = None, timeout: float = _SECONDS
    ) -> None:
        """Ask the server what it has.

        Args:
            url: the address of the server.
            token: what the server's ``--token`` is.
            model: the name of the model. Default: the only one, or the first.
            timeout: seconds to wait for an answer.

        Raises:
            ConfigError: the address is none, there is no such model, or the timeout or the token cannot be one.
            ServerError: the server cannot be reached, or refuses the token.
        """
        wrong = f"url is {url!r}; expected an address such as http://127.0.0.1:8000."
        try:
            parts = urllib.parse.urlsplit(url)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except (ValueError, AttributeError) as error:  # Reading the port checks it.
            raise ConfigError(wrong) from error
        if not known:
            raise ConfigError(wrong)
        if not (isinstance(timeout, int | float) and 0 < timeout <= threading.TIMEOUT_MAX):
            raise ConfigError(f"timeout is {timeout!r}; expected seconds, more than 0.")
        if token is not None and not (isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token):
            raise ConfigError("The token has characters that no token has. Copy it again.")
        self._parts, self._token, self._timeout = parts, token, timeout
        self.models: tuple[dict[str, Any], ...] = tuple(self._json("GET", "/v1/models")["models"])
        """What the server says about each of its models."""
        names = [one["name"] for one in self.models]
        if not names or (model is not None and model not in names):
            raise ConfigError(f"There is no model {model!r} at {url}; there are {', '.join(names) or 'none'}.")
        self.about = self.models[0 if model is None else names.index(model)]
        """What the server says about the model."""
        self.name: str = self.about["name"]
        given = self.about["signal"]
        self.signal = Signal(
            axes=tuple(given["axes"]),
            channels=given["channels"],
            levels=given["levels"],
            low=given["low"],
            high=given["high"],
            sample_rate=given["rate"],
        )
        self.layout = tuple(
            Level(one["num_codebooks"], one["codebook_size"], tuple(one["stride"]), tuple(one["lead"])) for one in self.about["layout"]
        )

    def encode(self, data: Data | Path | str) -> Tensor | Codes:
        """Data to codes; see ``Pipeline.encode``. Examples are sent one by one.

        Raises:
            DataError: the data is not what the model takes, or too large for the server.
            ServerError: the server does not answer.
        """
        found = [self._codes(self._form("encode", *file)["codes"]) for file in self._files(data)]
        codes = Codes.cat(found)
        return codes.tensor if len(codes) == 1 else codes

    def decode(self, codes: Tensor | tuple[Tensor, ...], size: Sequence[int] | None = None, speaker: str | int | None = None) -> Tensor:
        """Codes to data; see ``Pipeline.decode``.

        Raises:
            ConfigError: the voice is unknown.
            DataError: codes that the model does not have.
            ServerError: the server does not answer.
        """
        levels = codes_of(codes, self.layout)
        made = []
        for row in range(len(levels[0])):
            body = {
                "codes": codes_to_json(levels.take(slice(row, row + 1))),
                "size": None if size is None else list(size),
                "voice": speaker,
            }
            body["format"] = "npy"
            made.append(self._data(self._send("POST", "decode", json.dumps(body).encode(), "application/json")))
        return torch.cat(made)

    def reconstruct(self, data: Data | Path | str, speaker: str | int | None = None) -> Tensor:
        """Encode and decode; see ``Pipeline.reconstruct``."""
        made = []
        for file in self._files(data):
            found = self._form("encode", *file)
            made.append(self.decode(self._codes(found["codes"]), found["size"], speaker))
        return torch.cat(made)

    def sample(
        self,
        count: int,
        *,
        seed: int = 0,
        label: str | int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Tensor:
        """Draw data; see ``Pipeline.sample``. The server says how many at most: ``about["limits"]["samples"]``."""
        body = {"count": count, "seed": seed, "label": label, "temperature": temperature, "top_k": top_k, "top_p": top_p}
        body["format"] = "npy"
        found = self._json("POST", "sample", json.dumps(body).encode(), "application/json")
        return torch.cat([self._data(_bytes_of(url)) for url in found["pictures"]])

    def compress(self, data: Data | Path | str, *, mode: str | None = None, label: str | int | None = None) -> bytes:
        """One example as the bytes of a ``.vqz`` file; see ``Pipeline.compress``."""
        files = self._files(data)
        if len(files) != 1:
            raise DataError(f"{len(files)} examples came; a file holds one. Compress them one by one.")
        return self._form_bytes("compress", *files[0], **_given(mode=mode, voice=label))

    def decompress(self, data: bytes, *, speaker: str | int | None = None) -> Tensor:
        """The example of a compressed file; see ``Pipeline.decompress``.

        Raises:
            BitstreamError: the bytes are damaged, or were written with another model.
        """
        try:
            return self._data(self._form_bytes("decompress", data, "data.vqz", **_given(voice=speaker, format="npy")))
        except DataError as error:
            raise BitstreamError(str(error)) from error

    def convert(self, data: Data | Path | str, speaker: str | int) -> Tensor:
        """The same words in another voice; see ``Pipeline.convert``."""
        return torch.cat([self._data(self._form_bytes("convert", *file, voice=str(speaker), format="npy")) for file in self._files(data)])

    def scores(self, data: Data | Path | str) -> list[dict[str, float | None]]:
        """The scores of each example: bits per dimension, bits per code, and how near the reconstruction is."""
        return [self._form("scores", *file) for file in self._files(data)]

    def imagine(
        self,
        frames: Data | Path | str,
        actions: Sequence[str | int] = (),
        *,
        steps: int | None = None,
        seed: int = 0,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Tensor:
        """Imagine what follows a clip; see ``Pipeline.imagine``. Returns the imagined frames (clips, channels, steps, height, width)."""
        fields = _given(
            steps=steps, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p, actions=",".join(map(str, actions)) or None
        )
        made = []
        for file in self._files(frames):
            text = self._form_bytes("imagine", *file, stream="true", **fields).decode()
            events = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
            if failed := [event["error"] for event in events if "error" in event]:
                raise ServerError(failed[0]["message"])
            urls = [event["frame"] for event in events if "frame" in event]
            made.append(torch.cat([self._frame(_bytes_of(url)) for url in urls], 2))
        return torch.cat(made)

    def _files(self, data: Data | Path | str) -> list[tuple[bytes, str]]:
        """Data as files of the model's kind, without loss, with a name."""
        if isinstance(data, Path | str):
            path = user_path(data, DataError)
            if not path.is_file():
                raise DataError(f"There is no file {path}.")
            return [(path.read_bytes(), path.name)]
        examples = self.signal.batch(data)
        return [(file_of(one[None], self.signal, "npy").data, "example.npy") for one in examples]

    def _codes(self, given: Mapping[str, Any]) -> Codes:
        return Codes(torch.tensor(one["data"], dtype=torch.int64).view(1, *one["shape"]) for one in given["levels"])

    def _data(self, file: bytes) -> Tensor:
        """An array as an example (1, channels, *axes)."""
        return self.signal.check(torch.from_numpy(np.load(io.BytesIO(file), allow_pickle=False)))

    def _frame(self, file: bytes) -> Tensor:
        """A PNG as a clip of one frame."""
        with Image.open(io.BytesIO(file)) as image:
            pixels = torch.from_numpy(np.asarray(image).copy())
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        return pixels.permute(2, 0, 1)[None, :, None]

    def _form(self, path: str, file: bytes, name: str, **fields: str) -> Any:
        return json.loads(self._form_bytes(path, file, name, **fields))

    def _form_bytes(self, path: str, file: bytes, name: str, **fields: str) -> bytes:
        """Send a file with fields as a form."""
        border, parts = uuid.uuid4().hex, []
        for key, value in fields.items():
            parts.append(f'--{border}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode())
        called = name.replace('"', "_").replace("\r", "_").replace("\n", "_")
        head = f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="{called}"\r\n'
        parts += [head.encode(), b"Content-Type: application/octet-stream\r\n\r\n", file, f"\r\n--{border}--\r\n".encode()]
        return self._send("POST", path, b"".join(parts), f"multipart/form-data; boundary={border}")

    def _json(self, method: str, path: str, body: bytes | None = None, kind: str | None = None) -> Any:
        return json.loads(self._send(method, path, body, kind))

    def _send(self, method: str, path: str, body: bytes | None = None, kind: str | None = None) -> bytes:
        """The body of an answer.

        Raises:
            VqvaeError: the server refuses the request; its message says why.
        """
        whole_path = path if path.startswith("/") else f"/v1/models/{urllib.parse.quote(self.name, safe='')}/{path}"
        headers = {} if kind is None else {"Content-Type": kind}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        assert self._parts.hostname is not None
        connection = kinds[self._parts.scheme](self._parts.hostname, self._parts.port, timeout=self._timeout)
        try:
            connection.request(method, self._parts.path.rstrip("/") + whole_path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise ServerError(f"{self._parts.geturl()} does not answer ({reason}). Start it: vqvae serve RUN") from error
        finally:
            connection.close()
        if answer.status == 200:
            return data
        raise _ERRORS.get(answer.status, ServerError)(_message(data, answer.status))


def _message(data: bytes, status: int) -> str:
    try:
        return json.loads(data)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return f"The server answered with status {status}, without a reason."


def _bytes_of(url: str) -> bytes:
    """The content of a data URL."""
    return base64.b64decode(url.partition(",")[2])


def _given(**fields: Any) -> dict[str, str]:
    """The fields that are not None, as text."""
    return {name: str(value) for name, value in fields.items() if value is not None}
