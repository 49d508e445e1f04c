// A recording, sent as it is: the service finds out what format it has.

/** Sends all of `file` as fast as the service takes it. `onProgress(sent, total)` in bytes. Rejects if the session is over. */
export async function sendFile(session, file, { onProgress = () => {}, pieceBytes = 64 * 1024 } = {}) {
  for (let at = 0; at < file.size; at += pieceBytes) {
    session.sendAudio(await file.slice(at, at + pieceBytes).arrayBuffer());
    await session.room();
    onProgress(Math.min(at + pieceBytes, file.size), file.size);
  }
}
