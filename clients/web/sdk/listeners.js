// Listeners by event type. A listener that throws does not keep the others from hearing.

export class Listeners {
  constructor() {
    this._byType = new Map();
  }

  /** Returns a function that removes the listener. `*` hears everything. */
  on(type, listener) {
    const all = this._byType.get(type) ?? new Set();
    this._byType.set(type, all.add(listener));
    return () => all.delete(listener);
  }

  emit(event) {
    for (const type of [event.type, "*"]) {
      for (const listener of this._byType.get(type) ?? []) {
        try {
          listener(event);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    }
  }
}
