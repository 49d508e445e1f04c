// Puts the page together.
import { Announcer } from "./announcer.js";
import { CaptionsView } from "./captions-view.js";
import { ChatLog } from "./chat-log.js";
import { ChatView } from "./chat-view.js";
import { closeOnLeave, fillDevices, sendOnReturn, showTheme, themeAfter } from "./controls.js";
import { Desk } from "./desk.js";
import { clock } from "./documents.js";
import { acceptFiles } from "./file-drop.js";
import { currentKey, KeyDialog } from "./key-dialog.js";
import { fillLanguages, showDetected } from "./languages.js";
import { LevelMeter } from "./level-meter.js";
import { connectionText, noticeFor } from "./plain-words.js";
import { fromAddress, Preferences } from "./preferences.js";
import { keepOverReload, keptOverReload } from "./reload.js";
import { RoomMode } from "./room-mode.js";
import { copyText, download } from "./saving.js";
import { medianLatencyS, Transcript } from "./transcript.js";

const RESUMED_FOR_MS = 4000;
const AWAY_NOTICE_AFTER_MS = 1500;
const $ = (id) => document.getElementById(id);

const { isEmbedded, fixed } = fromAddress(location.search);
const preferences = new Preferences(fixed);
const kept = keptOverReload();
const transcript = new Transcript(kept?.transcript);
const chatLog = new ChatLog(kept?.chat);
const announcer = new Announcer($("spoken"));
const captions = new CaptionsView({
  scroller: $("captions"),
  list: $("utterances"),
  invitation: $("invitation"),
  toLatest: $("to-latest"),
});
const chat = new ChatView({ turns: $("turns"), onRetry: () => desk.requestAnswer() });
const meter = new LevelMeter($("meter").firstElementChild, () => show.notice("microphone_silent"));
let sessionState = { state: "idle" };
let resumedTimer = 0;
let awayTimer = 0;

const show = {
  entry(entry, event) {
    captions.show(entry);
    if (event.language && !preferences.get("language")) showDetected($("language"), event.language);
    if (event.type !== "transcript.final") return;
    announcer.say(entry.text);
    const median = medianLatencyS(transcript.finals);
    $("median").textContent = median === null ? "" : `median ${median.toFixed(1)} s`;
    allowSaving();
  },
  removed: (entry) => captions.remove(entry),
  heading: (text) => captions.heading(text),
  turn(turn) {
    chat.show(turn);
    if (turn.who === "assistant" && turn.state === "done") announcer.say(turn.text);
    $("stop-answer").hidden = !chatLog.isAnswering;
  },
  note: (text) => chat.show(chatLog.addNote(text)),
  connection(state) {
    sessionState = state;
    if (state.state !== "open") clearTimeout(resumedTimer);
    drawConnection();
    if (state.state === "open") hideNotice();
    if (state.state === "reconnecting") {
      awayTimer ||= setTimeout(() => show.notice("reconnecting"), AWAY_NOTICE_AFTER_MS);
    } else {
      clearTimeout(awayTimer);
      awayTimer = 0;
    }
  },
  resumed() {
    setConnection("Connected again, nothing was lost", "good");
    clearTimeout(resumedTimer);
    resumedTimer = setTimeout(drawConnection, RESUMED_FOR_MS);
  },
  listening(isListening) {
    $("record").setAttribute("aria-pressed", String(isListening));
    $("record-label").textContent = isListening ? "Stop" : "Start";
    if (isListening) fillDevices($("device"), preferences.get("device"));
    else meter.reset();
    if (isListening) captions.follow();
    drawConnection();
  },
  level(peak) {
    meter.hear(peak);
    const elapsed = clock(desk.listenedS);
    if ($("elapsed").textContent !== elapsed) $("elapsed").textContent = elapsed;
  },
  progress(name, part) {
    $("choose-file").textContent = part === null ? "Open a recording" : `Stop (${Math.round(part * 100)}% sent)`;
  },
  notice(code, message) {
    if (code === "unauthorized") keyDialog.open();
    const { title, text, action } = noticeFor(code, message);
    $("notice-title").textContent = title;
    $("notice-text").textContent = text;
    $("notice-action").hidden = !action;
    $("notice-action").textContent = action?.label ?? "";
    $("notice-action").dataset.name = action?.name ?? "";
    $("notice").dataset.code = code;
    $("notice").hidden = false;
  },
};

const desk = new Desk({
  url: `${location.origin}/v1/stream`,
  transcript,
  chatLog,
  show,
  kept: kept?.desk,
  wishes: () => ({
    language: preferences.get("language"),
    task: preferences.get("translate") ? "translate" : "transcribe",
    device: preferences.get("device"),
    chat: preferences.get("chat"),
    auto: preferences.get("auto"),
    key: currentKey(),
  }),
});
const keyDialog = new KeyDialog({
  dialog: $("key-dialog"),
  form: $("key-form"),
  input: $("key"),
  cancel: $("key-cancel"),
  onKey() {
    hideNotice();
    desk.retry();
  },
});
new RoomMode({ enter: $("room"), leave: $("leave-room"), onChange: () => captions.follow() });

function setConnection(text, tone) {
  if ($("connection").textContent !== text) $("connection").textContent = text; // else it would be read out again
  $("connection").dataset.tone = tone;
}

function drawConnection() {
  setConnection(...connectionText(sessionState, { isListening: desk.isListening }));
}

function hideNotice() {
  $("notice").hidden = true;
}

function allowSaving() {
  const isEmpty = transcript.finals.length === 0;
  for (const button of [$("copy"), ...$("save").querySelectorAll("button")]) button.disabled = isEmpty;
}

function showChat(isShown) {
  $("chat").hidden = !isShown;
  $("chat-toggle").setAttribute("aria-pressed", String(isShown));
}

function wireListening() {
  $("record").addEventListener("click", () => (desk.isListening ? desk.stopListening() : desk.startListening()));
  $("notice-close").addEventListener("click", hideNotice);
  $("notice-action").addEventListener("click", ({ target }) => {
    hideNotice();
    const { name } = target.dataset;
    if (name === "key") keyDialog.open();
    else if (name === "now") desk.networkIsBack();
    else desk.retry();
  });
  window.addEventListener("online", () => desk.networkIsBack());
  navigator.mediaDevices?.addEventListener?.("devicechange", () => fillDevices($("device"), preferences.get("device")));
  acceptFiles({ overlay: $("drop"), input: $("file"), onFile: (file) => desk.transcribeFile(file) });
  $("choose-file").addEventListener("click", () => (desk.hasFile ? stopFile() : $("file").click()));
}

function stopFile() {
  desk.stopFile();
  show.progress("", null);
}

function wireOptions() {
  fillLanguages($("language"));
  $("language").value = preferences.get("language");
  $("translate").checked = preferences.get("translate");
  $("language").addEventListener("change", ({ target }) => {
    showDetected($("language"), "");
    choose("language", target.value, () => desk.renew());
  });
  $("translate").addEventListener("change", ({ target }) => choose("translate", target.checked, () => desk.renew()));
  $("device").addEventListener("change", ({ target }) => choose("device", target.value, changeDevice));
  $("options-toggle").addEventListener("click", ({ target }) => {
    const isOpen = $("options").classList.toggle("is-open");
    target.setAttribute("aria-expanded", String(isOpen));
  });
  $("theme").addEventListener("click", () => {
    choose("theme", themeAfter(preferences.get("theme")), () => showTheme($("theme"), preferences.get("theme")));
  });
}

function choose(name, value, act) {
  preferences.set(name, value);
  act();
}

async function changeDevice() {
  if (!desk.isListening) return;
  await desk.stopListening();
  await desk.startListening();
}

function wireSaving() {
  closeOnLeave($("save"));
  $("copy").addEventListener("click", async () => {
    if (!(await copyText(transcript.finals))) return show.notice("copy_failed");
    $("copy").textContent = "Copied";
    setTimeout(() => ($("copy").textContent = "Copy"), 1500);
  });
  for (const button of $("save").querySelectorAll("[data-format]")) {
    button.addEventListener("click", () => download(transcript.finals, button.dataset.format));
  }
  $("clear").addEventListener("click", () => {
    for (const entry of transcript.clear()) captions.remove(entry);
    captions.clear();
    allowSaving();
  });
}

function wireChat() {
  $("auto").checked = preferences.get("auto");
  $("answer-now").hidden = preferences.get("auto");
  $("auto").addEventListener("change", ({ target }) => {
    choose("auto", target.checked, () => desk.setAuto(target.checked));
    $("answer-now").hidden = target.checked;
  });
  $("answer-now").addEventListener("click", () => desk.requestAnswer());
  $("chat-toggle").addEventListener("click", () => {
    const isShown = $("chat").hidden;
    showChat(isShown);
    choose("chat", isShown, () => desk.renew());
    if (isShown) $("message").focus();
  });
  $("stop-answer").addEventListener("click", () => desk.cancelAnswer());
  $("chat-reset").addEventListener("click", () => {
    desk.forget();
    chatLog.clear();
    chat.clear();
    $("stop-answer").hidden = true;
  });
  sendOnReturn($("message"), $("compose"));
  $("compose").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = $("message").value.trim();
    if (!text) return;
    $("message").value = "";
    if (!(await desk.say(text)) && !$("message").value) $("message").value = text;
  });
}

function showKept() {
  for (const entry of transcript.entries) captions.show(entry);
  for (let session = 1; session <= (kept?.desk.sessions ?? 0); session += 1) chatLog.abandon(session);
  for (const turn of chatLog.turns) chat.show(turn);
  $("elapsed").textContent = clock(desk.listenedS);
  keepOverReload(() => ({ transcript: transcript.toKeep(), chat: chatLog.toKeep(), desk: desk.toKeep() }));
}

if (isEmbedded) document.body.classList.add("is-embedded");
showTheme($("theme"), preferences.get("theme"));
showChat(preferences.get("chat"));
wireListening();
wireOptions();
wireSaving();
wireChat();
showKept();
allowSaving();
drawConnection();
fillDevices($("device"), preferences.get("device"));
document.documentElement.dataset.ready = Math.round(performance.now());
