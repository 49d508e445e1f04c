// Streams raw audio from a file with the unmodified @deepgram/sdk, and prints what it hears as JSON lines.
const fs = require("node:fs");
const path = require("node:path");

// The folder whose node_modules has the SDK; without it, where Node looks from here.
const folder = process.env.HARKEN_NODE_CLIENTS;
const { DeepgramClient } = require(folder ? path.join(folder, "node_modules/@deepgram/sdk") : "@deepgram/sdk");

const FRAME_BYTES = 8000;

async function main(port, file) {
  const ws = `ws://127.0.0.1:${port}`;
  const http = `http://127.0.0.1:${port}`;
  const client = new DeepgramClient({
    apiKey: "any",
    environment: { base: http, production: ws, agent: ws, agentRest: http },
  });
  const connection = await client.listen.v1.connect({
    model: "nova-3",
    encoding: "linear16",
    sample_rate: 16000,
    interim_results: "true",
    vad_events: "true",
    reconnectAttempts: 0,
  });
  const closed = new Promise((resolve) => connection.on("close", resolve));
  connection.on("message", (message) => console.log(JSON.stringify(message)));
  connection.on("error", (error) => console.error(String(error.message ?? error)));
  connection.connect();
  await connection.waitForOpen();
  const audio = fs.readFileSync(file);
  for (let offset = 0; offset < audio.length; offset += FRAME_BYTES) {
    connection.sendMedia(audio.subarray(offset, offset + FRAME_BYTES));
  }
  connection.sendFinalize({ type: "Finalize" });
  connection.sendCloseStream({ type: "CloseStream" });
  console.log(JSON.stringify({ type: "closed", code: (await closed).code }));
  process.exit(0);
}

main(process.argv[2], process.argv[3]);
