// Waiting for conditions.

const EVERY_MS = 100;

/**
 * Asks `check` until it answers something truthy, which is returned.
 *
 * `what` completes "waited in vain for …"; `state` may tell how things stand when the time is over.
 * An error of `check` counts as "not yet" and is shown at the end.
 */
export async function until(what, check, { within = 30_000, state } = {}) {
  const end = Date.now() + within;
  let fault;
  for (;;) {
    try {
      const answer = await check();
      if (answer) return answer;
      fault = undefined;
    } catch (error) {
      fault = error;
    }
    if (Date.now() > end) break;
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
  const told = state ? await Promise.resolve(state()).catch((error) => `no state: ${error.message}`) : '';
  throw new Error(
    [`waited ${within} ms in vain for ${what}`, fault && `last error: ${fault.message}`, told && `state: ${show(told)}`]
      .filter(Boolean)
      .join('\n'),
  );
}

function show(state) {
  return typeof state === 'string' ? state : JSON.stringify(state, null, 1);
}
