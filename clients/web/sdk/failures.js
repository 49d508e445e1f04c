// What can go wrong, by code: those of the service (docs/errors.md) and those that only a browser knows. Pure.

export class HarkenFailure extends Error {
  /** `code` is for programs, the message for people; `retryable`: the same may succeed later, unchanged. */
  constructor(code, message, { retryable = false, retryAfterS = 0 } = {}) {
    super(message);
    this.name = "HarkenFailure";
    this.code = code;
    this.retryable = retryable;
    this.retryAfterS = retryAfterS;
  }
}

/** Of an `error` event. */
export function fromErrorEvent(event) {
  return new HarkenFailure(event.code, event.message, { retryable: event.retryable });
}

/** Of what the service answers to a plain request for `/v1/admission`; null if it would have let us in. */
export function fromAdmission(status, retryAfter, body) {
  const { code, message } = refusalOf(body);
  switch (status) {
    case 200:
      return null;
    case 401:
      return new HarkenFailure("unauthorized", message ?? "a valid key is needed");
    case 503:
      return new HarkenFailure(code ?? "overloaded", message ?? "the service takes no new session now", {
        retryable: true,
        retryAfterS: /^\d+$/.test(retryAfter ?? "") ? Number(retryAfter) : 0,
      });
    default:
      if (status >= 500) return networkLost(); // a proxy in front of a service that is not there
      return new HarkenFailure("not_harken", `what answers there is not a Harken service (HTTP ${status})`);
  }
}

/** Of what `getUserMedia` throws. */
export function fromMediaError(error) {
  switch (error?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new HarkenFailure("microphone_denied", "the browser does not let this page use the microphone");
    case "NotFoundError":
    case "OverconstrainedError":
      return new HarkenFailure("no_microphone", "there is no microphone");
    case "NotReadableError":
    case "AbortError":
      return new HarkenFailure("microphone_busy", "the microphone cannot be read", { retryable: true });
    default:
      return new HarkenFailure("microphone_failed", "the microphone cannot be opened", { retryable: true });
  }
}

export function networkLost() {
  return new HarkenFailure("network_lost", "there is no connection to the service", { retryable: true });
}

function refusalOf(body) {
  try {
    return JSON.parse(body)?.error ?? {};
  } catch {
    return {};
  }
}
