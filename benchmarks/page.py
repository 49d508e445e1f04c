"""The browser page: how soon it can record, what a frame of captions costs, what lies between voice and socket, memory.

Needs Chromium. Starts a service with scripted engines unless `--url` names one. Prints a table, the bars and one JSON
line. `python -m benchmarks.page --help`
"""

import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import soundfile

from benchmarks.bars import Bar, all_met, bar_row
from benchmarks.report import Row, show_json, show_lines
from benchmarks.service import service
from tests.browser.chrome import Tab, chromium, find_browser

_SAMPLE = Path(__file__).parents[1] / "samples" / "austen.flac"
_SCRIPTED = {"HARKEN_ASR_ENGINE": "scripted"}
_UTTERANCES_OF_AN_HOUR = 900
_FRAMES = 600
_PIECE_MS = 32.0
_FILTER_MS = 1.0
_PIECES_OF_A_WINDOW = 150
_BARS = (
    Bar("ready to record, p50 [ms]", 300),
    Bar("main thread per frame, one hour shown [ms]", 4),
    Bar("voice to socket, p95 [ms]", 60),
    Bar("page [bytes]", 100_000),
)

_FILL = """(async () => {
  const [{ CaptionsView }, { Transcript }] = await Promise.all(
    [import("/static/page/captions-view.js"), import("/static/page/transcript.js")]);
  const part = (id) => document.getElementById(id);
  const view = new CaptionsView({ scroller: part("captions"), list: part("utterances"),
    invitation: part("invitation"), toLatest: part("to-latest") });
  const transcript = new Transcript();
  const stream = transcript.beginStream();
  const text = "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power. ";
  const times = { endpoint_s: 0, queue_s: 0, batch_wait_s: 0, encode_s: 0, decode_s: 0, publish_s: 0, total_s: 1 };
  const say = (event) => view.show(transcript.apply(stream, { channel: 0, ...event }).entry);
  for (let segment = 1; segment <= %(utterances)d; segment += 1) {
    say({ type: "transcript.final", segment, start_s: 4 * segment, end_s: 4 * segment + 3, text, words: [],
      language: "en", model: "base", times });
  }
  let words = 0;
  window.partial = () => {
    words += 1;
    const said = text.repeat(3).split(" ").slice(0, 1 + (words %% 60)).join(" ");
    const segment = %(utterances)d + 1 + Math.floor(words / 60);
    say({ type: "transcript.partial", segment, start_s: 4 * segment, end_s: 4 * segment + 1,
      stable: said.slice(0, said.lastIndexOf(" ") + 1), text: said, language: "en" });
  };
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
})()"""
_RUN_FRAMES = """new Promise((done) => {
  let left = %d;
  const next = () => { window.partial(); left -= 1; left ? requestAnimationFrame(next) : done(); };
  requestAnimationFrame(next);
})"""
_WATCH_SOCKET = """
window.sentAt = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (typeof data !== "string") window.sentAt.push(performance.now());
  return send.call(this, data);
};"""


async def measure(url: str, browser: str, *, loads: int, minutes: float) -> dict[str, float | int | str]:
    """All figures, each from a browser of its own."""
    with tempfile.TemporaryDirectory() as folder:
        microphone = Path(folder) / "voice.wav"
        audio, rate = soundfile.read(_SAMPLE, dtype="int16")
        soundfile.write(microphone, audio, rate)
        async with chromium(browser) as tab:
            loading, frames = await _loads(tab, url, loads), await _frames(tab, url)
        async with chromium(browser, microphone, loops=True) as tab:
            listening = await _listening(tab, url, minutes)
    return {**loading, **frames, **listening}


async def _loads(tab: Tab, url: str, loads: int) -> Row:
    ready_ms = []
    for _ in range(loads):
        await tab.call("Network.enable")
        await tab.call("Network.clearBrowserCache")
        await tab.open(url)
        ready_ms.append(float(await tab.run("document.documentElement.dataset.ready")))
    sizes = """[...performance.getEntriesByType("resource"), performance.getEntriesByType("navigation")[0]]
        .reduce((sum, entry) => sum + entry.decodedBodySize, 0)"""
    return {
        "ready to record, p50 [ms]": statistics.median(ready_ms),
        "ready to record, max [ms]": max(ready_ms),
        "page [bytes]": int(await tab.run(sizes)),
    }


async def _frames(tab: Tab, url: str) -> Row:
    await tab.open(url)
    await tab.run(_FILL % {"utterances": _UTTERANCES_OF_AN_HOUR})
    spent = await _spent_per_frame_ms(tab, "timeTicks")
    # Without a GPU other threads paint; where cores are few, the main one waits for them.
    at_work = await _spent_per_frame_ms(tab, "threadTicks")
    return {
        "main thread per frame, one hour shown [ms]": spent["TaskDuration"],
        "of which at work [ms]": at_work["TaskDuration"],
        "of which layout [ms]": at_work["LayoutDuration"],
        "of which script [ms]": at_work["ScriptDuration"],
    }


async def _spent_per_frame_ms(tab: Tab, clock: str) -> dict[str, float]:
    await tab.call("Performance.enable", timeDomain=clock)
    before = await _metrics(tab)
    await tab.run(_RUN_FRAMES % _FRAMES)
    spent = {name: (value - before[name]) / _FRAMES * 1000 for name, value in (await _metrics(tab)).items()}
    await tab.call("Performance.disable")
    return spent


async def _listening(tab: Tab, url: str, minutes: float) -> Row:
    await tab.open(url, before=_WATCH_SOCKET)
    await tab.call("Performance.enable")
    await tab.click("record")
    heap = [await _heap_bytes(tab, after_s=60.0 * minutes / 4) for _ in range(4)]
    sent_at = [float(one) for one in await tab.run("window.sentAt")]
    return {
        "voice to socket, p95 [ms]": _voice_to_socket_p95_ms(sent_at),
        "minutes listened": minutes,
        "heap after each quarter [MB]": " ".join(f"{one / 1e6:.1f}" for one in heap),
        "finals shown": int(await tab.run("document.querySelectorAll('.utterance').length")),
    }


def _voice_to_socket_p95_ms(sent_at: Sequence[float]) -> float:
    late_ms: list[float] = []
    for start in range(0, len(sent_at), _PIECES_OF_A_WINDOW):
        # In short windows, for the clocks of sound and of the page drift apart. The fastest piece is taken to have
        # waited for nothing but its own last sample.
        window = [at - _PIECE_MS * number for number, at in enumerate(sent_at[start : start + _PIECES_OF_A_WINDOW])]
        late_ms += [at - min(window) for at in window]
    return sorted(late_ms)[int(0.95 * (len(late_ms) - 1))] + _PIECE_MS + _FILTER_MS


async def _heap_bytes(tab: Tab, *, after_s: float) -> float:
    await asyncio.sleep(after_s)
    await tab.call("HeapProfiler.collectGarbage")
    return (await _metrics(tab))["JSHeapUsedSize"]


async def _metrics(tab: Tab) -> dict[str, float]:
    return {one["name"]: one["value"] for one in (await tab.call("Performance.getMetrics"))["metrics"]}


def _verdicts(figures: Row) -> Sequence[Row]:
    return [bar_row(bar, float(figures[bar.figure])) for bar in _BARS]


@click.command()
@click.option("--url", help="A page that runs; otherwise a service of our own.")
@click.option("--loads", default=11, show_default=True, help="How often the page is loaded.")
@click.option("--minutes", default=1.0, show_default=True, help="How long the page listens.")
def main(url: str | None, loads: int, minutes: float) -> None:
    """Measure the page in a real browser."""
    browser = find_browser()
    if browser is None:
        raise click.ClickException("no Chromium is installed")

    async def run() -> Row:
        async with service(url, settings=_SCRIPTED) as (address, _):
            page = address.replace("ws://", "http://").removesuffix("v1/stream")
            return await measure(page, browser, loads=loads, minutes=minutes)

    figures = asyncio.run(run())
    verdicts = _verdicts(figures)
    show_lines("the page", [{"figure": name, "value": value} for name, value in figures.items()])
    show_lines("bars", verdicts)
    show_json("page", {**figures, "all bars met": all_met(verdicts)})


if __name__ == "__main__":
    main()
