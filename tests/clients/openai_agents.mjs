// @openai/agents-realtime, unmodified: a typed and a spoken turn, each answered in text. Its own schemas judge every event.
// Arguments: the URL of the service, and a file of 24 kHz PCM. Prints what the client made of it.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.env.HARKEN_NODE_CLIENTS, 'index.js'));
const entry = require.resolve('@openai/agents-realtime');
const { RealtimeAgent, RealtimeSession } = await import(pathToFileURL(entry));
const { parseRealtimeEvent } = await import(pathToFileURL(join(dirname(entry), 'openaiRealtimeEvents.mjs')));

const [url, audioFile] = process.argv.slice(2);
const agent = new RealtimeAgent({ name: 'test', instructions: 'be brief' });
const session = new RealtimeSession(agent, {
  transport: 'websocket',
  model: 'gpt-realtime',
  config: { outputModalities: ['text'], audio: { input: { turnDetection: { type: 'semantic_vad' } } } },
  tracingDisabled: true,
});
const kinds = [];
const misfits = [];
const errors = [];
session.transport.on('*', (event) => {
  kinds.push(event.type);
  if (parseRealtimeEvent({ data: JSON.stringify(event) }).isGeneric) misfits.push(event);
});
session.on('error', (error) => errors.push(error));

setTimeout(() => {
  console.error(JSON.stringify({ kinds, misfits, errors, history: session.history }));
  process.exit(1);
}, 30_000);

const next = (kind) => new Promise((resolve) => session.transport.once(kind, resolve));
const heard = (text) =>
  new Promise((resolve) => {
    const look = (history) => {
      if (history.some((item) => item.role === 'user' && item.content.some((part) => part[text]))) resolve();
    };
    session.on('history_updated', look);
    look(session.history);
  });

await session.connect({ apiKey: 'any', url });
const typed = next('response.done');
session.sendMessage('hello there');
await typed;
const spoken = next('response.done');
const retrieved = next('conversation.item.retrieved');
const audio = readFileSync(audioFile);
for (let start = 0; start < audio.length; start += 4800) {
  const chunk = audio.subarray(start, start + 4800);
  session.sendAudio(chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + chunk.byteLength));
}
await Promise.all([spoken, retrieved, heard('transcript')]);
const history = session.history.map(({ role, status, content }) => ({ role, status, content }));
session.close();
console.log(JSON.stringify({ kinds, misfits, errors, history }));
process.exit(0);
