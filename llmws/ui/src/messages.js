/** The same folding as `assemble()` in llmws/messages.py, one step at a time: a message and an event give a message. */

/** What `type` said in `message`, joined. */
export const textOf = (message, type = "text") =>
  (message.parts ?? [])
    .filter((part) => part.type === type)
    .map((part) => part.text ?? "")
    .join("");

/** Without text, but with data: the signature of a thought, which stays a part of its own. */
const isMark = (told) => !told.text && Object.keys(told.data ?? {}).length > 0;

function grow(parts, event) {
  const last = parts.at(-1);
  const alike = last?.type === event.type && JSON.stringify(last.data ?? {}) === JSON.stringify(event.data ?? {});
  const joins = alike && !isMark(last) && !isMark(event);
  if (!joins) return [...parts, { type: event.type, text: event.text ?? "", data: event.data }];
  return [...parts.slice(0, -1), { ...last, text: (last.text ?? "") + (event.text ?? "") }];
}

function call(parts, { data = {} }) {
  const key = data.index ?? data.id;
  const found = parts.findIndex((part) => part.type === "tool_call" && (part.data.index ?? part.data.id) === key);
  if (found < 0) return [...parts, { type: "tool_call", data }];
  const known = parts[found].data;
  const grown = { ...known, arguments: (known.arguments ?? "") + (data.arguments ?? "") };
  return parts.with(found, {
    type: "tool_call",
    data: { ...grown, id: known.id || data.id, name: known.name || data.name },
  });
}

export function fold(message, event) {
  const parts = message.parts ?? [];
  switch (event.type) {
    case "start":
      return { ...message, model: event.model ?? message.model };
    case "text":
    case "reasoning":
      return { ...message, parts: grow(parts, event) };
    case "citation":
    case "warning":
      return { ...message, parts: [...parts, { type: event.type, text: event.text, data: event.data }] };
    case "tool_call":
      return { ...message, parts: call(parts, event) };
    case "usage":
      return { ...message, usage: event.usage };
    case "error":
      return { ...message, error: { message: event.text, ...event.data } };
    case "end": {
      const { finish_reason, timing, cost, currency } = event;
      return { ...message, finish_reason, timing, cost, currency };
    }
    default:
      return message;
  }
}
