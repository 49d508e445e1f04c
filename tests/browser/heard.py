"""What the page heard of its microphone: a busy machine loses sound before the page gets it."""

import base64

from asr_workers.engines.scripted import expected_words
from tests.browser.page import Page

NOTE_AUDIO = """
window.heard = [];
window.AudioWorkletNode = class extends AudioWorkletNode {
  constructor(...all) {
    super(...all);
    this.port.addEventListener("message", ({ data }) => {
      if (data.pcm) window.heard.push(new Uint8Array(data.pcm.slice(0)));
    });
  }
};"""
"""To run before the page's own scripts."""
_TAKE = """(() => {
  const bytes = window.heard.flatMap((piece) => [...piece]);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.slice(at, at + 8192));
  return btoa(text);
})()"""


async def words_heard(page: Page) -> str:
    """What the scripted engine makes of all that the page has heard in its first session."""
    pcm = base64.b64decode(await page.run(_TAKE))
    return " ".join(expected_words(pcm))
