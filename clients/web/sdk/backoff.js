// When to dial again. Pure.

const FIRST_S = 0.5;
const LONGEST_S = 15;

/** Seconds to wait before try `attempt` (from 1): doubled each time, with up to a quarter of `random()` taken off. */
export function backoffS(attempt, random, retryAfterS = 0) {
  const doubled = Math.min(LONGEST_S, FIRST_S * 2 ** (attempt - 1));
  return Math.max(retryAfterS, doubled * (1 - random() / 4));
}
