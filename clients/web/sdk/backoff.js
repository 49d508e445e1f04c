// When to dial again. Pure.

const FIRST_S = 0.05;
const LONGEST_S = 2;

/** Seconds to wait before try `attempt` (from 1): any part (`random`, 0 to 1) of a bound that doubles each time. */
export function backoffS(attempt, random) {
  return random * Math.min(LONGEST_S, FIRST_S * 2 ** (attempt - 1));
}
