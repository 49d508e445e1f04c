// The openai package from npm, unmodified: a transcription session, and a conversation in text.
// Arguments: host:port, and a file of 24 kHz PCM. It always speaks wss; `createConnection` has it do without TLS.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.env.HARKEN_NODE_CLIENTS, 'index.js'));
const { default: OpenAI } = await import(pathToFileURL(require.resolve('openai')));
const { OpenAIRealtimeWS } = await import(pathToFileURL(require.resolve('openai/realtime/ws')));

const [address, audioFile] = process.argv.slice(2);
const [host, port] = address.split(':');
const client = new OpenAI({ apiKey: 'any', baseURL: `https://${address}/v1` });
const options = { createConnection: () => net.connect(Number(port), host) };

function open(wish) {
  const socket = new OpenAIRealtimeWS({ ...wish, options }, client);
  const events = [];
  const errors = [];
  socket.on('event', (event) => events.push(event));
  socket.on('error', (error) => errors.push(error.message));
  const next = (kind) => new Promise((resolve) => socket.once(kind, resolve));
  return { socket, events, errors, next };
}
setTimeout(() => process.exit(1), 30_000);

const listener = open({ intent: 'transcription' });
await listener.next('session.created');
listener.socket.send({
  type: 'session.update',
  session: { type: 'transcription', audio: { input: { turn_detection: null, transcription: { model: 'whisper-1' } } } },
});
listener.socket.send({ type: 'input_audio_buffer.append', audio: readFileSync(audioFile).toString('base64') });
listener.socket.send({ type: 'input_audio_buffer.commit' });
const completed = await listener.next('conversation.item.input_audio_transcription.completed');
listener.socket.close();

const speaker = open({ model: 'gpt-realtime' });
await speaker.next('session.created');
const content = [{ type: 'input_text', text: 'hello there' }];
speaker.socket.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } });
speaker.socket.send({ type: 'response.create' });
const done = await speaker.next('response.done');
speaker.socket.close();

const kinds = [...listener.events, ...speaker.events].map((event) => event.type);
const errors = [...listener.errors, ...speaker.errors];
console.log(JSON.stringify({ kinds, errors, transcript: completed.transcript, response: done.response }));
process.exit(0);
