import { type EventMap, HarkenFailure, LiveSession, listMicrophones, Microphone, sendFile } from "harken-client";

const session = new LiveSession({ url: ["wss://a.example.org", "wss://b.example.org"], chat: { auto: false }, language: null });
const remove: () => void = session.on("transcript.final", ({ text, words, times }) => {
  const first: number | undefined = words[0]?.start_s;
  void [text.length, first, times.total_s];
});
session.on("state", ({ state, failure }) => {
  if (state === "failed" && failure?.retryable) throw failure;
});
session.on("*", (event) => {
  if (event.type === "chat.delta") event.text.trim();
});
session.on("session.resumed", ({ lost_s, resume }) => {
  const token: string | undefined = resume?.token;
  if (lost_s > 0) console.log(token?.length);
});
const kept = session.snapshot();
if (kept) new LiveSession({ url: "wss://speech.example.org", resume: kept }).sendAudio(session.heldAudio());
// @ts-expect-error there is no such event
session.on("transcript.nonsense", () => {});
// @ts-expect-error a session needs an address
new LiveSession({});

export async function speak(file: File): Promise<EventMap["session.ended"]> {
  const microphone = await Microphone.open({ onAudio: ({ pcm, peak }) => peak > 0 && session.sendAudio(pcm) });
  const [device] = await listMicrophones();
  await microphone.close();
  await sendFile(session, file, { onProgress: (sent, total) => console.log(device?.label, sent / total) });
  remove();
  const isSaid: boolean = session.sendChat("hello", { answer: false });
  if (!isSaid) throw new HarkenFailure("mine", "not said");
  return session.end();
}
