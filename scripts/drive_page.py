#!/usr/bin/env python3
"""Opens the page in a headless Chromium, joins the room, chats with the echo server there, and says how it went.

    scripts/drive_page.py URL AGENT MESSAGE …     AGENT is the agent id of the echo server

It speaks the DevTools protocol over Chromium's pipe (--remote-debugging-pipe), with nothing but Python's own library.
"""
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

TIMEOUT = 60

# Runs in the page, as a person would use it: press Connect, type, press Send, wait for the echo.
SCRIPT = """
(async (agent, messages) => {
  const until = async (what, test) => {
    for (let i = 0; i < 400; i++) {
      const found = test();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`waited in vain for ${what}: ${document.body.innerText.slice(0, 300)}`);
  };
  const person = await until('the echo server in the room', () =>
    [...document.querySelectorAll('#people li')].find((li) => li.querySelector('strong')?.textContent === agent));
  person.querySelector('button').click();
  await until('the data channel', () => !document.getElementById('send').disabled);
  const echoes = [];
  for (const message of messages) {
    const before = document.querySelectorAll('#log .theirs').length;
    document.getElementById('text').value = message;
    document.getElementById('chat-form').requestSubmit();
    const reply = await until('an echo', () => document.querySelectorAll('#log .theirs')[before]);
    const [text, after] = [reply.querySelector('.text').textContent, reply.querySelector('small')?.textContent ?? ''];
    if (text !== message) throw new Error(`"${text}" came back for "${message}"`);
    echoes.push({ text, after });
  }
  await until('the round-trip time', () => document.getElementById('rtt').textContent !== '–');
  const read = (id) => document.getElementById(id).textContent;
  return JSON.stringify({ echoes, state: read('peer-state'), rtt: read('rtt'), path: read('path'), security: read('security') });
})(%s, %s)
"""


class Chromium:
    """One browser, and one page in it."""

    def __init__(self, url):
        self.profile = tempfile.mkdtemp(prefix="duet-demo-")
        to_child, from_us = os.pipe()
        to_us, from_child = os.pipe()
        command = [
            os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium", "--headless=new", "--remote-debugging-pipe",
            f"--user-data-dir={self.profile}", "--no-first-run", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-quic", "--allow-loopback-in-peer-connection",
            "--disable-features=WebRtcHideLocalIpsWithMdns", "about:blank",
        ]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # it refuses to run as root with it

        def pipes_to_3_and_4():
            a, b = os.dup(to_child), os.dup(from_child)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            command, preexec_fn=pipes_to_3_and_4, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_child)
        os.close(from_child)
        self.output, self.input, self.buffer, self.last_id = from_us, to_us, b"", 0
        target = self.call("Target.createTarget", {"url": url})["targetId"]
        self.session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]

    def wait_until_loaded(self):
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            try:
                if self.run("document.readyState === 'complete' && location.protocol !== 'about:'"):
                    return
            except RuntimeError:
                pass  # between two documents
            time.sleep(0.05)
        raise RuntimeError("the page does not load")

    def call(self, method, params, session=None):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read_message()
            if answer.get("id") != self.last_id:
                continue
            if "error" in answer:
                raise RuntimeError(answer["error"]["message"])
            return answer["result"]

    def read_message(self):
        deadline = time.monotonic() + TIMEOUT
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.input], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.input, 65536) if ready else b""
            if not data:
                raise RuntimeError("Chromium does not answer" if not ready else "Chromium ended")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def run(self, script):
        answer = self.call("Runtime.evaluate", {"expression": script, "awaitPromise": True}, self.session)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "the page failed"))
        return answer["result"]["value"]

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


def main():
    url, agent, messages = sys.argv[1], sys.argv[2], sys.argv[3:]
    browser = Chromium(url)
    try:
        browser.wait_until_loaded()
        result = json.loads(browser.run(SCRIPT % (json.dumps(agent), json.dumps(messages))))
    except (RuntimeError, OSError) as error:
        print(f"drive_page: {error}", file=sys.stderr)
        return 1
    finally:
        browser.close()
    print(f"{result['state']}: {result['path']}, {result['security']}, round-trip time {result['rtt']} ms")
    for echo in result["echoes"]:
        print(f"\"{echo['text']}\" came back: {echo['after']}")
    return 0


sys.exit(main())
