/** The messages as they stand on the page, one row each. */
import { signal } from "@preact/signals";

let rows = 0;

/** A message on the page; without an id it has not reached the service yet, and `again` sends it anew. */
export function newRow({ id = null, generation_id = null, created_at = Date.now() / 1000, siblings = [], message }) {
  const said = { message: signal(message), siblings: signal(siblings) };
  return { key: ++rows, id, generation: generation_id, at: created_at, ...said, again: null };
}

export const isOpen = (row) => row?.message.value.role === "assistant" && !row.message.value.finish_reason;
