"""One look at a run: `report.html` and `history.csv`."""

import csv
import html
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from ilo_jax.app.history import History
from ilo_jax.app.metrics import Row
from ilo_jax.app.report import Shown, report

looks_at_files = True

LINE = (
    "inpaint --observed 0.4 --images photos --generator gen --steps 12,10 --samples 2 --out {out}"
)


def history(out):
    with (out / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_a_report(solve, tmp_path):
    assert solve(LINE).code == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=\"?(?:https?:|//)", page)
    pictures = [
        json.loads(html.unescape(text)) for text in re.findall(r'data-pictures="(.*?)"', page)
    ]
    labels = ["truth", "measurement", "ILO", "spread", "error"]
    assert [list(of_image) for of_image in pictures] == [labels] * 2
    assert all(a.startswith("data:image/png;base64,") for p in pictures for a in p.values())
    with (tmp_path / "out" / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            assert f"<td>{row['name']}</td>" in page
            assert f"<td>{float(row['psnr_db']):.4g}</td>" in page
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])
    assert (data["ends"], data["trials"]) == ([12, 22], {})
    assert {name: [len(c) for c in of_image] for name, of_image in data["curves"].items()} == {
        "a": [3, 3],
        "b": [3, 3],
    }


def test_the_error_of_each_restart_goes_down(solve, tmp_path):
    assert solve(LINE).code == 0
    rows = history(tmp_path / "out")
    by_run = {}
    for row in rows:
        by_run.setdefault((row["name"], row["restart"]), []).append(row)
    assert set(by_run) == {(name, k) for name in "ab" for k in "12"}
    for of_run in by_run.values():
        assert [row["step"] for row in of_run] == ["10", "20", "22"]
        errors = [float(row["error"]) for row in of_run]
        assert errors[0] >= errors[1] >= errors[2] > 0
        assert all(float(row["loss"]) >= float(row["error"]) for row in of_run)
    assert by_run["a", "1"][2]["error"] != by_run["a", "2"][2]["error"]


def test_what_is_computed_again_is_there_once(solve, tmp_path):
    assert solve(LINE).code == 0
    before = history(tmp_path / "out")
    (tmp_path / "out" / "images" / "b.png").unlink()
    with (tmp_path / "out" / "history.csv").open("a") as file:
        file.write("b,1,9")  # which a killed run was writing
    assert solve(LINE).code == 0
    after = history(tmp_path / "out")
    assert [list(row.values())[:3] for row in after] == [list(row.values())[:3] for row in before]
    for field in ("loss", "error"):  # a narrower batch rounds otherwise
        np.testing.assert_allclose(
            *([float(row[field]) for row in rows] for rows in (after, before)), rtol=1e-4
        )


def test_a_finished_run_leaves_its_report_alone(solve, tmp_path):
    assert solve(LINE).code == 0
    path = tmp_path / "out" / "report.html"
    path.write_text("mine")
    assert solve(LINE).code == 0
    assert path.read_text() == "mine"
    path.unlink()
    assert solve(LINE).code == 0
    assert "<td>a</td>" in path.read_text()


def test_what_failed_is_told_and_names_are_no_markup(tmp_path):
    name = "<script>alert(1)</script>\udcff"
    past = History(tmp_path / "history.csv")
    past.add(name, [10, 20], np.array([[[np.inf, np.inf], [0.7, 0.5]]]), ())
    shown = Shown(Row(name, 30.0, None, 0.1, 1.0, "0"), {"ILO": np.zeros((8, 8, 1), np.float32)})
    failed = Row("c", None, None, None, None, "0", "cannot be read")
    page = report("t", {}, {"images": 9}, [shown], [failed], past, "").decode()
    assert "<script>alert" not in page
    assert "cannot be read" in page
    assert "8 more are in metrics.csv" in page
    assert "[[10, null, null], [20, 0.7, 0.5]]" in page


@pytest.fixture
def browser():
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver here")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1280,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.mark.slow
def test_five_hundred_images_in_a_browser(browser, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    numbers = np.random.default_rng(0)
    past, shown = History(tmp_path / "history.csv"), []
    for i in range(500):
        names = ("truth", "measurement", "ILO", "error")
        pictures = {n: numbers.uniform(-1, 1, (64, 64, 1)).astype(np.float32) for n in names}
        shown.append(Shown(Row(f"image {i}", float(i % 37), 0.5, 0.1, 1.0, "0"), pictures))
        past.add(
            f"image {i}",
            [10, 20, 30],
            np.array([[[4.0, 3.0], [5.0, 2.0], [2.0, 1.0]]]),
            {s.row.name for s in shown},
        )
    path = tmp_path / "report.html"
    path.write_bytes(
        report("five hundred", {"steps": [10, 20]}, {"images": 500}, shown, [], past, "no.")
    )
    browser.get(path.as_uri())
    rows = browser.find_elements(By.CSS_SELECTOR, "#metrics tbody tr")
    assert len(rows) == 500

    def column():
        cells = browser.find_elements(By.CSS_SELECTOR, "#metrics tbody td:nth-child(2)")
        return [float(cell.text) for cell in cells[:40]]

    header = browser.find_elements(By.CSS_SELECTOR, "#metrics th button")[1]
    header.click()
    assert column() == sorted(column())
    assert column()[0] == 0
    header.click()
    assert column()[0] == 36

    over, slider = (browser.find_element(By.ID, name) for name in ("over", "split"))
    before = over.value_of_css_property("clip-path")
    ActionChains(browser).drag_and_drop_by_offset(slider, slider.size["width"] // 3, 0).perform()
    assert over.value_of_css_property("clip-path") != before
    assert int(slider.get_property("value")) > 70
    under = browser.find_element(By.ID, "under").get_attribute("src")
    browser.find_elements(By.CSS_SELECTOR, "#metrics tbody tr")[3].click()
    assert browser.find_element(By.ID, "under").get_attribute("src") != under
    charts = browser.find_elements(By.CSS_SELECTOR, "#curves svg")
    titles = [chart.find_element(By.CLASS_NAME, "title").text for chart in charts]
    assert titles == ["loss", "least measurement error so far"]
    assert all(len(chart.find_elements(By.TAG_NAME, "path")) == 1 for chart in charts)
    assert all(len(chart.find_elements(By.CLASS_NAME, "round")) == 2 for chart in charts)
    assert browser.get_log("browser") == []


def test_what_auto_chose_is_told_with_its_curves(tmp_path):
    chosen = {
        **{"method": "deeper", "restarts": {"as it is": 1, "deeper": 3}, "radii": [300.0, 30.25]},
        **{"round": 2, "steps": 90, "held_out_error": 0.0123},
        "trials": {"deeper": [[50, 0.5], [100, 0.0123]]},
    }
    picture = {"ILO": np.zeros((8, 8, 1), np.float32)}
    shown = Shown(Row("a", 30.0, None, 0.1, 1.0, "0"), picture, chosen)
    past = History(tmp_path / "history.csv")
    page = report("t", {"steps": [50, 50]}, {"images": 1}, [shown], [], past, "").decode()
    assert (
        'data-chosen="chosen: deeper; 90 steps in 3 rounds; l1 radius 300; l1 radius 30.25; '
        'restarts: 1 as it is, 3 deeper; error of what was held out 0.0123"'
    ) in page
    (text,) = re.findall(r'id="data">(.*?)</script>', page)
    assert json.loads(text) == {
        **{"curves": {}, "ends": [50, 100]},
        "trials": {"a": chosen["trials"]},
    }


def test_large_pictures_are_reduced(tmp_path):
    shown = Shown(Row("a", None, None, 0.1, 1.0, "0"), {"ILO": np.zeros((600, 300, 3), np.float32)})
    past = History(tmp_path / "history.csv")
    page = report("t", {}, {"images": 1}, [shown], [], past, "").decode()
    (text,) = re.findall(r'data-pictures="(.*?)"', page)
    address = json.loads(html.unescape(text))["ILO"]
    import base64
    import io

    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert picture.size == (128, 256)
