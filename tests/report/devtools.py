"""Headless Chromium through the pipe of its DevTools protocol, without a driver or a library."""

import base64
import json
import os
import shutil
import subprocess
import sys

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage "
    "--hide-scrollbars --remote-debugging-pipe about:blank"
).split()
# Chromium speaks on descriptors 3 and 4; this puts the pipes there before it starts, by way of
# numbers above both, since a pipe may happen to have one of the two.
LAUNCH = (
    "import fcntl, os, sys; high = lambda n: fcntl.fcntl(int(sys.argv[n]), fcntl.F_DUPFD, 10); "
    "ends = high(1), high(2); os.dup2(ends[0], 3); os.dup2(ends[1], 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)


def find():
    """Returns the path of a Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """One page of a browser; `events` collects what it reports."""

    def __init__(self, program, profile):
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        arguments = [program, *FLAGS[:-1], f"--user-data-dir={profile}", FLAGS[-1]]
        self.process = subprocess.Popen(
            [sys.executable, "-ISc", LAUNCH, str(theirs_in), str(theirs_out), *arguments],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.incoming = os.fdopen(ours_in, "rb")
        self.outgoing = os.fdopen(ours_out, "wb")
        self.buffer, self.number, self.session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _receive(self):
        while b"\0" not in self.buffer:
            piece = self.incoming.read1(1 << 16)
            if not piece:
                raise RuntimeError("Chromium closed its pipe.")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        """Sends a command and returns its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.outgoing.write(json.dumps(message).encode() + b"\0")
        self.outgoing.flush()
        while True:
            answer = self._receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        """Waits until an event has come since the last `open`."""
        while all(event.get("method") != method for event in self.events):
            self.events.append(self._receive())

    def open(self, url, width, *, height=900, scheme="light", mobile=False):
        """Loads a page at an exact width of the viewport, in CSS pixels."""
        self.events = []
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media="", features=features)
        self.call("Page.navigate", url=url)
        self.wait("Page.loadEventFired")

    def value(self, expression):
        """Evaluates JavaScript and returns its value."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def press(self, key, code):
        """Presses and releases a key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    def screenshot(self, *, full=True):
        """Returns a PNG of the whole page, or of what is in view."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=full)
        return base64.b64decode(shot["data"])

    def pdf(self):
        """Returns the page as it prints."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def requested(self):
        """Returns the addresses that were loaded, `data:` ones left out."""
        urls = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith("data:")]

    def complaints(self):
        """Returns errors and warnings of the console, of scripts and of the security policy."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event["params"] for event in self.events if event.get("method") in kinds]

    def close(self):
        """Ends the browser."""
        self.session = None
        try:
            self.call("Browser.close")
        except RuntimeError:
            pass  # it may hang up before it answers
        self.outgoing.close()
        self.incoming.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
