"""The panel of speech, as a person uses it."""

import wave
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.serving.browser.driven import models, pixels, until

pytestmark = pytest.mark.browser


def write_sound(path: Path, seconds: float, rate: int = 16_000) -> None:
    """A gliding tone, in pieces: an hour must fit in memory."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        for start in np.arange(0, seconds, 10):
            time = np.arange(start, min(start + 10, seconds), 1 / rate)
            file.writeframes((8000 * np.sin(2 * np.pi * (200 + 100 * time) * time)).astype("<i2").tobytes())


def test_a_recording_is_heard_in_every_voice(page: Page, served: str, tmp_path: Path) -> None:
    model = models(served)["speech"]
    assert len(model["voices"]) == 2
    write_sound(tmp_path / "tone.wav", 0.6)
    page.get_by_role("link", name="Speech").click()
    page.locator("#speech-drop input").set_input_files(tmp_path / "tone.wav")
    names = ["Original", "Reconstruction", *(f"Voice {voice}" for voice in model["voices"])]
    for name in names:
        track = page.get_by_role("region", name=name, exact=True)
        expect(track).to_be_visible()
        expect(track.locator("audio")).to_have_js_property("error", None)
        until(page, "player => player.readyState > 0", track.locator("audio").element_handle())
        assert track.locator("audio").evaluate("player => player.duration") == pytest.approx(0.6, abs=0.1)
        assert track.locator("canvas.wave").evaluate("c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)")
    assert pixels(page, "[aria-label='Original'] canvas.spectrum").std() > 0
    assert len(np.unique(pixels(page, "canvas.codes-line").reshape(-1, 3), axis=0)) >= 1
    expect(page.locator(".over-time .now").first).to_contain_text("per second")
    page.locator("canvas.codes-line").hover()
    expect(page.locator(".over-time .now").first).to_contain_text("Code ")
    expect(page.get_by_role("list", name="Phones along time").locator("li").first).to_be_attached()
    expect(page.get_by_text("Guessed from the codes")).to_contain_text("% of such guesses are right.")
    player = page.get_by_role("region", name="Original", exact=True).locator("audio")
    player.evaluate("player => player.play()")
    until(page, "player => player.ended", player.element_handle())


def test_a_recording_is_made_with_the_microphone(page: Page) -> None:
    page.get_by_role("link", name="Speech").click()
    button = page.locator("#record")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(1200)
    button.click()
    expect(page.get_by_role("region", name="Reconstruction", exact=True)).to_be_visible()
    assert page.get_by_role("region", name="Original", exact=True).locator("audio").evaluate("p => p.readyState") >= 0


def test_an_hour_of_audio_gets_a_sentence_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    write_sound(tmp_path / "hour.wav", 3600, rate=8000)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.get_by_role("link", name="Speech").click()
    page.locator("#speech-drop input").set_input_files(tmp_path / "hour.wav")
    alert = page.locator("#speech-message")
    expect(alert).to_be_visible()
    expect(alert).to_contain_text("hour.wav lasts 60 minutes")
    expect(alert).to_contain_text("Cut out a part")
    assert not any("reconstruct" in url for url in sent)


def test_a_text_file_named_wav_gets_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("These are notes.\n")
    page.get_by_role("link", name="Speech").click()
    page.locator("#speech-drop input").set_input_files(tmp_path / "notes.wav")
    expect(page.locator("#speech-message")).to_be_visible()
    expect(page.locator("#speech-message")).to_contain_text("notes.wav")
    expect(page.locator("#tracks section")).to_have_count(0)
