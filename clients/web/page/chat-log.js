// The conversation as the page shows it. Pure.

const STOPPED = {
  client: "Stopped",
  speech: "Stopped, because somebody spoke",
  turn: "Stopped by your next message",
  session: "Stopped with the session",
};

export class ChatLog {
  /** `kept`: what `toKeep` gave of an earlier page. */
  constructor(kept) {
    const { turns, answers } = kept ?? { turns: [], answers: [] };
    /** `{id, who: "you" | "assistant" | "note", text, state, remark, canRetry}` in order. */
    this.turns = turns;
    this._byAnswer = new Map(answers.map(([key, id]) => [key, turns.find((turn) => turn.id === id)]));
  }

  toKeep() {
    return { turns: this.turns, answers: [...this._byAnswer].map(([key, turn]) => [key, turn.id]) };
  }

  /** What the person said or typed. */
  addYours(text, how) {
    return this._add({ who: "you", text, remark: how === "spoken" ? "spoken" : "" });
  }

  /** A line of the page's own. */
  addNote(text) {
    return this._add({ who: "note", text });
  }

  /** Takes in a chat event of the session; returns the turn that changed. */
  apply(session, event) {
    const key = `${session}:${event.answer}`;
    const turn = this._byAnswer.get(key) ?? this._add({ who: "assistant", text: "", state: "running" });
    this._byAnswer.set(key, turn);
    switch (event.type) {
      case "chat.delta":
        Object.assign(turn, { text: turn.text + event.text, state: "running", remark: "" });
        break;
      case "chat.done":
        Object.assign(turn, { text: event.text, state: "done", remark: doneRemark(event) });
        break;
      case "chat.cancelled":
        Object.assign(turn, { text: event.text, state: "cancelled", remark: STOPPED[event.reason] ?? "Stopped" });
        break;
      case "chat.failed":
        Object.assign(turn, { text: event.text, state: "failed", canRetry: event.retryable, remark: failedRemark(event) });
        break;
    }
    return turn;
  }

  /** Answers of a session that is gone do not end any more; returns the turns that changed. */
  abandon(session) {
    const lost = [...this._byAnswer].filter(([key, turn]) => key.startsWith(`${session}:`) && turn.state === "running");
    return lost.map(([, turn]) => Object.assign(turn, { state: "cancelled", remark: "The connection was lost" }));
  }

  get isAnswering() {
    return this.turns.some((turn) => turn.state === "running");
  }

  clear() {
    this.turns = [];
    this._byAnswer.clear();
  }

  _add(fields) {
    const turn = { id: (this.turns.at(-1)?.id ?? 0) + 1, state: "done", remark: "", canRetry: false, ...fields };
    this.turns.push(turn);
    return turn;
  }
}

function doneRemark({ model, finish_reason, usage, times }) {
  // Times of 0: it is told again, by a gateway that did not see it.
  const first = times.total_s ? `first word after ${times.first_delta_s.toFixed(1)} s, ` : "";
  const cut = finish_reason === "length" ? ", cut at its longest" : "";
  return `${model}: ${first}${usage.completion_tokens} tokens${cut}`;
}

function failedRemark({ code }) {
  return code === "no_worker" ? "Nobody is there to answer." : "The answer broke off.";
}
