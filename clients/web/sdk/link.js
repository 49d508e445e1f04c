// One socket, from its first message until it is gone.

export class Link {
  /**
   * `hello()` gives the first message once the socket is open. `onGone` is called once, unless it was left before: when
   * the socket has closed, or `isReady` was not set within `withinS`.
   */
  constructor({ url, protocols }, platform, { withinS, hello, onEvent, onGone }) {
    this._platform = platform;
    this._onGone = onGone;
    this._isLeft = false;
    /** Whether the service has let us in. */
    this.isReady = false;
    /** The HarkenFailure that the service has told before it closed. */
    this.failure = null;
    const socket = new platform.WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this._isLeft || socket.send(JSON.stringify(hello()));
    socket.onmessage = ({ data }) => this._isLeft || onEvent(JSON.parse(data));
    socket.onclose = () => this._end();
    this._socket = socket;
    this._timer = platform.setTimeout(() => this.isReady || this._end(), withinS * 1000);
  }

  get canSend() {
    return this.isReady && this._socket.readyState === 1;
  }

  get bufferedBytes() {
    return this._socket.bufferedAmount;
  }

  send(data) {
    this._socket.send(data);
  }

  /** Hears no more, though the socket stays open. */
  mute() {
    this._isLeft = true;
    this._platform.clearTimeout(this._timer);
  }

  leave() {
    this.mute();
    this._socket.close(1000);
  }

  _end() {
    if (this._isLeft) return;
    this.leave();
    this._onGone();
  }
}
