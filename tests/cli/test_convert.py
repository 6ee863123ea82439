"""``vqvae convert``, and what the other commands do with speech."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import vqvae
from vqvae.cli.main import main
from vqvae.data import read_audio, write_audio
from vqvae.runs.folder import stored_data


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of noise at another rate than the model's."""
    path = tmp_path_factory.mktemp("recordings") / "somebody.flac"
    write_audio(path, np.random.default_rng(0).normal(0, 0.1, 4_000).astype(np.float32), 8_000)
    return path


def test_a_recording_is_converted_to_another_voice(speech_run: Path, recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "other.wav"
    assert main(["convert", str(speech_run), str(recording), "--speaker", "en-us+m3", "--out", str(out), "--device", "cpu"]) == 0
    model = vqvae.load(speech_run)
    wave = torch.from_numpy(read_audio(recording, 16_000))[None, None]
    expected = model.decode(model.encode(wave), (wave.shape[2],), speaker=1)
    torch.testing.assert_close(torch.from_numpy(read_audio(out, 16_000)), expected[0, 0], rtol=0, atol=1e-4)
    assert main(["convert", str(speech_run), str(recording), "--all-speakers", "--out", str(tmp_path / "all"), "--device", "cpu"]) == 0
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert names == ["somebody-en-us+f1.wav", "somebody-en-us+m3.wav"]
    both = [read_audio(tmp_path / "all" / name, 16_000) for name in names]
    assert np.array_equal(both[1], read_audio(out, 16_000)) and not np.array_equal(*both)


def test_names_of_a_strangers_speakers_are_no_paths(speech_run: Path, recording: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "deep" / "out"
    shutil.copytree(speech_run / "tokenizer", run / "tokenizer")
    config = run / "tokenizer" / "config.json"
    data = json.loads(config.read_text())
    data["card"]["label_names"] = ["/../../../escaped", "_.._.._.._ESCAPED"]
    config.write_text(json.dumps(data))
    assert main(["convert", str(run), str(recording), "--all-speakers", "--out", str(out), "--device", "cpu"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["somebody-_.._.._.._ESCAPED-2.wav", "somebody-_.._.._.._escaped.wav"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "run"]


def test_a_recording_is_not_replaced_by_what_is_made_of_it(
    speech_run: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link.flac").symlink_to(recording)
    before = recording.read_bytes()
    for source, out in ((recording, tmp_path / "link.flac"), (tmp_path / "link.flac", recording)):
        command = ["convert", str(speech_run), str(source), "--speaker", "0", "--out", str(out), "--overwrite", "--device", "cpu"]
        assert main(command) == 1
        assert "which would be lost" in capsys.readouterr().err
    assert recording.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--speaker", "nobody", "--out", "x.wav"], "nobody.*en-us[+]f1, en-us[+]m3"),
        (["--out", "x.wav"], "either --speaker NAME or --all-speakers. The speakers are en-us[+]f1"),
        (["--speaker", "0", "--all-speakers", "--out", "x"], "either --speaker"),
        (["--speaker", "0", "--out", "x.mp3"], "written as .wav or .flac"),
        (["--all-speakers", "--out", "x.wav"], "folder"),
    ],
)
def test_what_cannot_be_converted_says_so(
    speech_run: Path,
    recording: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["convert", str(speech_run), str(recording), *arguments, "--device", "cpu"]) == 1
    assert re.search(words, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_a_model_of_images_speaks_with_nobody(run: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(run), str(recording), "--speaker", "0", "--out", str(tmp_path / "x.wav")]) == 1
    assert "no speakers" in capsys.readouterr().err


def test_samples_of_speech_are_as_long_as_is_asked(speech_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sample", str(speech_run), "--count", "2", "--seconds", "0.3", "--label", "en-us+m3", "--device", "cpu"]
    assert main([*arguments, "--out", str(tmp_path / "drawn")]) == 0
    drawn = [read_audio(path, 16_000) for path in sorted((tmp_path / "drawn").iterdir())]
    assert [len(wave) for wave in drawn] == [4_800, 4_800] and not np.array_equal(*drawn)
    assert main([*arguments, "--out", str(tmp_path / "drawn.wav")]) == 1
    assert "folder" in capsys.readouterr().err
    assert main(["sample", str(speech_run), "--seconds", "-1", "--out", str(tmp_path / "x")]) == 1
    assert "--seconds is -1" in capsys.readouterr().err


def test_reconstructions_of_speech_keep_their_length(
    speech_run: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["reconstruct", str(speech_run), str(recording), "--out", str(tmp_path), "--device", "cpu"]
    assert main([*arguments, "--speaker", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[str(recording)] > 0
    assert len(read_audio(tmp_path / "somebody.wav", 16_000)) == 8_000
    assert main([*arguments, "--overwrite"]) == 1
    assert "Whose voice shall speak" in capsys.readouterr().err


def test_the_report_of_speech_lets_one_hear_and_see(speech_run: Path) -> None:
    page = (speech_run / "report.html").read_text()
    # Two recordings as they were, decoded, and in the other voice; and four that were drawn.
    assert page.count("<audio") == 2 * 3 + 4
    assert "in the voice of" in page and "P(phone | code)" in page
    for name in ("waves_0.svg", "phonemes.svg", "spectrograms_0.png"):
        assert (speech_run / name).exists()
    metrics = json.loads((speech_run / "metrics.json").read_text())
    assert metrics["bits_per_code_uniform"] == 3 and metrics["bits_per_second_uniform"] == pytest.approx(750)
    assert 0 < metrics["bits_per_code"] < 4 and metrics["label_source"] and metrics["frames"] > 100
    assert not any(name.startswith("bits_per_sample") for name in metrics), "a spectral distance is no density"


def test_phones_are_read_from_a_file(speech_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held_out = stored_data(speech_run).held_out
    lines = [{"file": name, "phones": [list(phone) for phone in phones]} for name, phones in held_out.phones.items()]
    file = tmp_path / "phones.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    arguments = ["evaluate", str(speech_run), "--phones", str(file), "--phones-source", "eSpeak", "--json", "--device", "cpu"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    metrics = json.loads((speech_run / "metrics.json").read_text())
    assert found["phoneme_accuracy"] == metrics["phoneme_accuracy"] and found["label_source"] == "eSpeak"
    file.write_text(json.dumps({"file": "other.wav", "phones": []}))
    assert main(arguments) == 1
    assert "None of the" in capsys.readouterr().err
