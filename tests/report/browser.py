"""A page in a real browser: the system's Chromium, by its DevTools protocol. No driver needed."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START = 60.0  # seconds until it must be there


def chromium() -> str | None:
    """The program; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """A tab. complaints: what its console said, and errors. requests: URLs that it asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self.socket, self.number = socket, 0
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.loaded = False

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": params})
        while True:
            told = json.loads((await self.socket.receive(timeout=START)).data)
            if told.get("id") == self.number:
                assert "error" not in told, told
                return told["result"]
            self._hear(told.get("method", ""), told.get("params", {}))

    def _hear(self, event: str, params: dict[str, Any]) -> None:
        if event in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(json.dumps(params)[:500])
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event == "Page.loadEventFired":
            self.loaded = True

    async def value(self, expression: str) -> Any:
        """What an expression of the page comes to."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                               awaitPromise=True)  # fmt: skip
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Waits until an expression is true."""
        end = time.monotonic() + START
        while not (found := await self.value(expression)):
            assert time.monotonic() < end, f"never true: {expression}"
            await asyncio.sleep(0.1)
        return found

    async def mouse(self, kind: str, x: float, y: float) -> None:
        button = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    async def click(self, selector: str) -> None:
        x, y = await self.middle(selector)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.mouse(kind, x, y)

    async def middle(self, selector: str) -> list[float]:
        """Where the first such element is in the window, scrolled to."""
        return await self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )


def visit(
    file: Path, folder: Path, steps: Callable[[Page], Awaitable[Any]], width: int = 1280,
    scheme: str = "light",
) -> Any:  # fmt: skip
    """Opens a file and carries out steps. folder: an empty one, for the browser's own."""
    return asyncio.run(_visit(file, folder, steps, width, scheme))


async def _visit(file: Path, folder: Path, steps: Callable, width: int, scheme: str) -> Any:
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", "--remote-debugging-port=0",
             f"--user-data-dir={folder}", "about:blank"]  # fmt: skip
    with subprocess.Popen(
        [chromium(), *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            port = await _port(folder / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as told:
                    [tab] = [one for one in await told.json() if one["type"] == "page"]
                url = tab["webSocketDebuggerUrl"]
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    return await steps(await _opened(Page(socket), file, width, scheme))
        finally:
            process.terminate()


async def _port(file: Path) -> str:
    end = time.monotonic() + START
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < end, "Chromium did not start"
        await asyncio.sleep(0.1)
    return file.read_text().splitlines()[0]


async def _opened(page: Page, file: Path, width: int, scheme: str) -> Page:
    for domain in ("Page", "Runtime", "Network", "Log"):
        await page.call(f"{domain}.enable")
    await page.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                    deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
    feature = {"name": "prefers-color-scheme", "value": scheme}
    await page.call("Emulation.setEmulatedMedia", features=[feature])
    await page.call("Page.navigate", url=file.as_uri())
    await page.until("document.readyState === 'complete' && location.protocol === 'file:'")
    return page
