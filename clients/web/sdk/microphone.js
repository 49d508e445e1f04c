// The microphone as a stream of 16-bit mono at 16 kHz.
import { fromMediaError, HarkenFailure, networkLost } from "./failures.js";

const WORKLET = new URL("./capture-worklet.js", import.meta.url);
const RUNS_WITHIN_MS = 5000; // a machine without any sound device never runs

export class Microphone {
  /** Asks for permission if need be. `onAudio({pcm, peak})` hears 32 ms at a time; `onLost` that the device is gone. */
  static async open({ deviceId, onAudio, onLost = () => {}, worklet = WORKLET, processing = {} }) {
    if (!navigator.mediaDevices?.getUserMedia || !globalThis.AudioWorkletNode) throw notAvailable();
    const context = new AudioContext({ latencyHint: "interactive" });
    let stream;
    try {
      // Its clock starts meanwhile: nothing that is said once the microphone is open waits for it.
      const running = context.resume();
      running.catch(() => {}); // it is waited for below, if it comes to that
      const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...processing };
      const asked = { audio: deviceId ? { ...audio, deviceId: { exact: deviceId } } : audio };
      // First the module: whoever is asked for the microphone shall not be asked in vain.
      await context.audioWorklet.addModule(worklet).catch(() => Promise.reject(networkLost()));
      stream = await navigator.mediaDevices.getUserMedia(asked);
      const late = new Promise((_, reject) => setTimeout(reject, RUNS_WITHIN_MS, { name: "NotReadableError" }));
      const microphone = new Microphone(context, stream, onAudio, onLost);
      await Promise.race([running, late]);
      return microphone;
    } catch (error) {
      stream?.getTracks().forEach((track) => track.stop());
      context.close();
      throw error instanceof HarkenFailure ? error : fromMediaError(error);
    }
  }

  constructor(context, stream, onAudio, onLost) {
    this._context = context;
    this._stream = stream;
    const [track] = stream.getAudioTracks();
    this.label = track.label;
    this.deviceId = track.getSettings().deviceId ?? "";
    track.onended = onLost;
    this._node = new AudioWorkletNode(context, "harken-capture", { numberOfOutputs: 0 });
    this._done = new Promise((resolve) => {
      this._node.port.onmessage = ({ data }) => (data.done ? resolve() : onAudio(data));
    });
    this._source = context.createMediaStreamSource(stream);
    this._source.connect(this._node);
  }

  /** Stops the device; resolves when the last of its audio was handed over. */
  async close() {
    for (const track of this._stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    this._node.port.postMessage("flush");
    await this._done;
    this._source.disconnect();
    await this._context.close();
  }
}

/** Microphones, with names once the page was allowed to use one. */
export async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices
    .filter((device) => device.kind === "audioinput")
    .map(({ deviceId, label }) => ({ deviceId, label }));
}

function notAvailable() {
  return globalThis.isSecureContext
    ? new HarkenFailure("unsupported_browser", "this browser gives pages no microphone")
    : new HarkenFailure("insecure_origin", "browsers give the microphone to secure pages only");
}
