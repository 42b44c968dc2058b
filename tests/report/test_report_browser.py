"""A report in Chromium, from disk: no complaint, no request, tables sort, figures hover."""

import browser
import pytest
from made_study import predictions

from awcl.files import read_json, write_json
from awcl.report.writing import write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.chromium() is None, reason="no Chromium on this machine"),
]
PLACES = "[...document.querySelectorAll('.plot')]"
DRAW_ALL = f"{PLACES}.forEach(draw), {PLACES}.every((one) => one.querySelector('.main-svg'))"
FIRSTS = (
    "[...document.querySelectorAll('#table-main tbody tr')]"
    ".map((row) => row.cells[1].dataset.value)"
)
SORT = "document.querySelectorAll('#table-main thead th')[1].getAttribute('aria-sort')"
HOVER = "[...document.querySelectorAll('.hoverlayer .hovertext')].map((e) => e.textContent).join()"


@pytest.fixture
def report(ratios):
    return write(ratios.folder)


def test_it_opens_sorts_and_hovers_without_complaint_or_request(report, tmp_path):
    async def steps(page):
        assert await page.until(DRAW_ALL)
        head = "#table-main thead th:nth-child(2) button"
        orders = []
        for _ in range(2):
            await page.click(head)
            orders.append([await page.value(SORT), await page.value(FIRSTS)])
        await page.value(f"document.querySelector('{head}').focus()")
        for kind in ("keyDown", "keyUp"):
            await page.call("Input.dispatchKeyEvent", type=kind, key="Enter", text="\r",
                            windowsVirtualKeyCode=13)  # fmt: skip
        by_key = await page.value(SORT)
        x, y = await page.middle("[data-figure^=scores] .scatterlayer .trace:last-child .point")
        await page.mouse("mouseMoved", x - 30, y)
        await page.mouse("mouseMoved", x, y)
        return orders, by_key, await page.until(HOVER), page

    orders, by_key, hover, page = browser.visit(report, tmp_path / "browser", steps)
    for (order, values), reverse in zip(orders, (True, False), strict=True):
        assert order == ("descending" if reverse else "ascending")
        assert [float(v) for v in values] == sorted(map(float, values), reverse=reverse)
    assert len(orders[0][1]) == 5 and by_key == "descending"
    assert hover.startswith("ratio 1, fine: 0.")
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [report.as_uri()]


def test_an_arm_that_was_not_run_comes_last_whichever_way_scores_are_sorted(paper, tmp_path):
    last = "[...document.querySelectorAll('#table-main tbody tr')].at(-1).cells[0].textContent"

    async def steps(page):
        head = "#table-main thead th:nth-child(2) button"
        found = []
        for _ in range(2):
            await page.click(head)
            found.append([await page.value(SORT), await page.value(last)])
        return found

    found = browser.visit(write(paper.folder), tmp_path / "browser", steps)
    assert found == [["descending", "imagenet"], ["ascending", "imagenet"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways_and_the_scheme_is_followed(report, tmp_path, scheme):
    async def steps(page):
        assert await page.until(DRAW_ALL)
        wide = await page.value("document.documentElement.scrollWidth")
        ground = await page.value("getComputedStyle(document.body).backgroundColor")
        ink = await page.value("document.querySelector('.plot .xtick text').style.fill")
        return wide, ground, ink, page.complaints

    wide, ground, ink, complaints = browser.visit(
        report, tmp_path / "browser", steps, width=390, scheme=scheme
    )
    assert wide == 390 and complaints == []
    brightness = [sum(map(int, of[of.index("(") + 1 : -1].split(",")[:3])) for of in (ground, ink)]
    assert (brightness[0] > brightness[1]) == (scheme == "light")


REASONS = "#table-not_compared tbody td:nth-child(2)"
BOXES = (
    f"[...document.querySelectorAll('.xtitle, .ytitle, {REASONS}')]"
    ".map((one) => one.getBoundingClientRect()).map((box) => [box.left, box.right])"
)


def test_a_phone_shows_the_names_of_axes_and_why_something_is_not_compared(making, tmp_path):
    made = making(axes={"anatomy.ratio": [0, 1]})
    for ratio in (0, 1):
        table = predictions(0.3 + ratio / 2, 0)
        for share in ("0.05", "1"):
            table[f"transfer/{share}/0/ridge"] = table["ridge"]
        trial = made.add(table=table.drop(columns="ridge"), anatomy__ratio=ratio)
        file = next(trial.path.glob("eval/*/EVAL.json"))
        write_json(file, {**read_json(file), "task": "few_labels", "name": "few"})
    made.add(outcome="stopped", reason="val/proxy 0.130, the cut is 0.333", pretrain__lr=0.5)

    async def steps(page):
        assert await page.until(DRAW_ALL)
        return await page.value(BOXES)

    boxes = browser.visit(write(made.folder), tmp_path / "browser", steps, width=390)
    assert len(boxes) > 3 and all(0 <= left < right <= 390 for left, right in boxes)


def test_the_browser_test_hears_complaints_and_requests(report, tmp_path):
    """The checks above can fail."""
    text = report.read_text(encoding="utf-8")
    policy = text[text.index("<meta http-equiv") : text.index("<title>")]
    bad = (
        "<script>console.error('oh'); fetch('http://127.0.0.1:9/x').catch(() => 0)</script></body>"
    )
    report.write_text(text.replace(policy, "").replace("</body>", bad), encoding="utf-8")

    async def steps(page):
        await page.until(DRAW_ALL)
        return page

    page = browser.visit(report, tmp_path / "browser", steps)
    assert any("oh" in told for told in page.complaints)
    assert "http://127.0.0.1:9/x" in page.requests
