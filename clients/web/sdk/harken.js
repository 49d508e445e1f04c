export { HarkenFailure } from "./failures.js";
export { sendFile } from "./file-source.js";
export { LiveSession } from "./live-session.js";
export { listMicrophones, Microphone } from "./microphone.js";
export { ReplayBuffer } from "./replay-buffer.js";
export { Resampler, toInt16 } from "./resampler.js";
