"""The page: what it computes and shows, and all of it in a browser."""

import base64
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ilo_jax.app.page.choices import KINDS, PAINTED, Chosen
from ilo_jax.app.page.classical import biharmonic_image
from ilo_jax.app.page.command import main
from ilo_jax.app.page.pictures import archive, shown
from ilo_jax.app.page.search import Look, classical, doubts, measure, search
from ilo_jax.app.prior import load_prior
from ilo_jax.app.samples import ERROR_SCALE
from ilo_jax.files.images import from_uint8
from ilo_jax.ops import inpainting

looks_at_files = True

STEPS = 6


@pytest.fixture(scope="module")
def problem(inputs):
    """An image with a mask, and a generator of 8 px."""
    prior, mask = load_prior(str(inputs / "gen"), None, 0), str(inputs / "mask.png")
    chosen = Chosen(PAINTED, mask, STEPS)
    return measure(prior, str(inputs / "gen"), None, inputs / "photos" / "a.png", chosen)


def looks(problem) -> list[Look]:
    """Two that a search might have given."""
    shape = problem.sample.truth.shape
    numbers = np.random.default_rng(0).uniform(-1, 1, (4, *shape)).astype(np.float32)
    csgm, ilo, spread, smooth = numbers
    return [
        Look(10, 18, 3, csgm, smooth, spread, (smooth,)),
        Look(18, 18, 3, csgm, ilo, spread, (smooth, csgm, ilo)),
    ]


@pytest.mark.slow
def test_a_search_is_watched_round_by_round(problem):
    found = list(search(problem))
    total = problem.run.method.rounds * STEPS
    assert [look.step for look in found] == [*range(10, total, 10), total]
    assert [len(look.ends) for look in found] == [look.step // STEPS for look in found]
    last = found[-1]
    np.testing.assert_array_equal(last.ends[-1], last.ilo)
    assert last.spread.max() > 0.01
    assert np.abs(last.csgm - last.ilo).max() > 0.01
    first, final = (problem.score(look.ilo)[1] for look in (found[0], last))
    assert final < first


@pytest.mark.slow
def test_the_page_finds_what_the_command_that_it_names_finds(problem, solve, tmp_path):
    *_, last = search(problem)
    with zipfile.ZipFile(io.BytesIO(archive(problem, last, last.csgm))) as file:
        command = json.loads(file.read("about.json"))["command"]
    line = command.removeprefix("ilo-jax ").replace("a.png", "photos/a.png")
    assert solve(line.replace("--out results", "--out {out}")).code == 0
    with Image.open(tmp_path / "out" / "images" / "a.png") as picture:
        image = from_uint8(np.asarray(picture))
    np.testing.assert_allclose(image, last.ilo, atol=2 / 255)


def test_what_is_shown_grows(problem):
    first, last = looks(problem)
    smooth = classical(problem)
    pages = [
        shown(problem, None, None),
        shown(problem, first, smooth),
        shown(problem, last, smooth),
    ]
    assert [page.count("<img") for page in pages] == [2, 8, 10]
    assert [page.count("dB</figcaption>") for page in pages] == [0, 3, 3]
    assert [page.count("<tr>") for page in pages] == [0, 4, 4]
    for name in ("biharmonic", "CSGM", "ILO", f"times {ERROR_SCALE}", "spread of 3 restarts"):
        assert name in pages[-1]


def test_the_archive_has_what_was_shown_and_how_to_make_it_again(problem):
    *_, last = looks(problem)
    with zipfile.ZipFile(io.BytesIO(archive(problem, last, last.csgm))) as file:
        about = json.loads(file.read("about.json"))
        with Image.open(file.open("ilo.png")) as picture:
            image = from_uint8(np.asarray(picture))
        names = set(file.namelist())
    np.testing.assert_allclose(image, last.ilo, atol=1 / 255 + 1e-6)
    assert {"mask.png", "truth.png", "measurement.png", "biharmonic.png", "uncertainty.png"} < names
    assert "--mask mask.png" in about["command"]
    assert set(about["scores"]) == {"biharmonic", "CSGM", "ILO"}


@pytest.mark.slow
@given(seed=st.integers(0, 99), level=st.floats(-1, 1))
@settings(max_examples=5)
def test_the_biharmonic_image_keeps_what_is_seen_and_a_flat_image_is_flat(seed, level):
    rng = np.random.default_rng(seed)
    mask = (rng.uniform(size=(16, 16, 1)) < 0.3).astype(np.float32)
    operator = inpainting((16, 16, 3), mask)
    truth = rng.uniform(-1, 1, (16, 16, 3)).astype(np.float32)
    found = np.asarray(biharmonic_image(operator, jnp.asarray(mask * truth)))
    np.testing.assert_array_equal(mask * found, mask * truth)
    flat = np.float32(level) * np.ones_like(truth)
    found = np.asarray(biharmonic_image(operator, jnp.asarray(mask * flat)))
    np.testing.assert_allclose(found, flat, atol=1e-3)


@pytest.mark.parametrize(("near", "count"), [(0.0, 0), (0.5, 1)])
def test_a_result_that_is_far_from_the_image_is_doubted(problem, near, count):
    *_, last = looks(problem)
    truth = problem.sample.truth
    assert len(doubts(problem, last._replace(ilo=np.clip(truth + near, -1, 1)))) == count
    grey = np.broadcast_to(truth.mean(-1, keepdims=True), truth.shape)
    assert "in colour" in doubts(problem, last._replace(ilo=grey))[0]


def test_amounts_suit_the_size_of_the_images():
    assert KINDS["small image"].possible(64) == ["2x", "4x", "8x", "16x"]
    assert KINDS["small image"].possible(8) == ["2x", "4x", "8x"]
    for kind in KINDS.values():
        assert not kind.amounts or kind.usual in kind.amounts


def test_without_gradio_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main([]) == 2
    said = capsys.readouterr()
    assert re.fullmatch(
        r"error: the page needs Gradio .*pip install 'ilo_jax\[app\]'.*\n", said.err
    )
    with pytest.raises(SystemExit, match="2"):
        main(["--port", "70000"])
    assert "65535" in capsys.readouterr().err


@pytest.fixture
def served(tmp_path):
    """The address of a page, in a process of its own, which must end well."""
    pytest.importorskip("gradio", reason="the page needs pip install 'ilo_jax[app]'")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    line = [sys.executable, "-m", "ilo_jax.app", "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == f"the page: http://127.0.0.1:{port}/\n"
        yield process, f"http://127.0.0.1:{port}/"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path.suffix != ".d"]


def until(condition: Callable[[], Any], seconds: float = 900) -> Any:
    """What the condition is when it holds."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.3)
    return found


@pytest.mark.slow
def test_the_page_in_a_browser(served, tmp_path):
    from selenium import webdriver
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver here")
    process, address = served
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1440,1330"):
        options.add_argument(argument)
    downloads = tmp_path / "downloads.d"
    downloads.mkdir()
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))

    # In one go each: between two questions the page may have drawn anew what they are about.
    def ask(code: str, *args: str) -> Any:
        return browser.execute_script(code, *args)

    def there(css: str) -> list[Any]:
        return browser.find_elements(By.CSS_SELECTOR, css)

    def text(css: str) -> str:
        return ask("return document.querySelector(arguments[0])?.innerText ?? ''", css).strip()

    def source(css: str) -> str:
        return ask("return document.querySelector(arguments[0])?.src ?? ''", css)

    def click(css: str) -> None:
        ask("document.querySelector(arguments[0]).click()", css)

    def choose(name: str) -> None:
        labels = "[...document.querySelectorAll('label')].filter(l => l.innerText.includes"
        code = f"const l = {labels}(arguments[0])); l[0]?.click(); return l.length"
        until(lambda: ask(code, name) == 1)

    def status() -> str:
        return text("#status")

    def upload(path: Path) -> None:
        there("#upload input, input[type=file]")[0].send_keys(str(path))

    def picture(name: str) -> np.ndarray:
        content = base64.b64decode(source(f'#pictures img[alt="{name}"]').partition(",")[2])
        return np.asarray(Image.open(io.BytesIO(content)).convert("L"))

    def reconstruct() -> None:
        click("#go")
        until(lambda: "Done" not in status())
        until(lambda: "Done" in status())

    try:
        browser.get(address)
        until(lambda: "not for diagnosis" in text("body"))
        canvas, *_ = until(lambda: there("#painted canvas"))
        until(lambda: canvas.size["width"] > 100)
        time.sleep(1)

        # A painted mask: what is there to begin with, and a stroke of one's own.
        stroke = (
            ActionChains(browser).move_to_element_with_offset(canvas, -90, -90).click_and_hold()
        )
        stroke.move_by_offset(180, 0).release().perform()
        seen: list[str] = []
        click("#go")
        until(lambda: seen.append(status()) or "Done" in status())
        rounds = [int(found[1]) for found in map(re.compile(r"Round (\d)").match, seen) if found]
        assert rounds == sorted(rounds)
        assert len(set(rounds)) >= 2
        truth, measured = picture("truth"), picture("measurement")
        missing = (measured == 0) & (truth > 40)
        assert missing[28:36, 28:36].all()  # the square in the middle
        assert missing[:24].sum() > 60  # the stroke
        assert not missing[44:].any()
        gain = [np.mean((picture(name) / 255.0 - truth / 255.0) ** 2) for name in ("CSGM", "ILO")]
        assert gain[1] < gain[0] / 2
        assert picture("uncertainty").max() > 0
        assert "--mask mask.png" in text("#command")
        browser.execute_script("window.scrollTo(0, 0)")
        browser.save_screenshot(str(tmp_path / "page.png"))

        # The archive.
        click("#download")
        (path,) = until(lambda: list(downloads.glob("*.zip")))
        assert {"ilo.png", "mask.png", "about.json"} < set(zipfile.ZipFile(path).namelist())

        # What stops, stops: the process has nothing to do.
        choose("noise")
        choose("long (")
        click("#go")
        until(lambda: "Round" in status())
        click("#stop")
        until(lambda: status() == "Stopped.")
        time.sleep(3)
        used = psutil.Process(process.pid)
        before = sum(used.cpu_times()[:2])
        time.sleep(3)
        assert sum(used.cpu_times()[:2]) - before < 1
        assert status() == "Stopped."

        # An upload of another kind of images; one that cannot be read.
        colours = np.zeros((64, 64, 3), np.uint8)
        colours[:32, :, 0], colours[32:, :, 1] = 255, 255
        Image.fromarray(colours).save(tmp_path / "colours.png")
        (tmp_path / "text.png").write_text("hello")
        upload(tmp_path / "text.png")
        until(lambda: "text.png: " in text("body"))
        preview = source(".pictures.one img")
        upload(tmp_path / "colours.png")
        until(lambda: source(".pictures.one img") != preview)
        choose("quick (")
        reconstruct()
        assert "never seen such images" in status()

        # A second visitor waits, and is served.
        first = browser.current_window_handle
        browser.switch_to.new_window("tab")
        browser.get(address)
        until(lambda: there("#go"))
        choose("noise")
        click("#go")
        browser.switch_to.window(first)
        reconstruct()
        (second,) = set(browser.window_handles) - {first}
        browser.switch_to.window(second)
        until(lambda: "Done" in status())

        own = [m for m in browser.get_log("browser") if m["level"] == "SEVERE"]
        assert [m for m in own if "/assets/" not in m["message"]] == []
        hosts = {
            request["url"].split("/")[2]
            for entry in browser.get_log("performance")
            for request in [json.loads(entry["message"])["message"]["params"].get("request")]
            if request and request["url"].startswith(("http", "ws"))
        }
        assert hosts == {Path(address).name}
    finally:
        browser.quit()
