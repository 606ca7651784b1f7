/**
 * A bundle that is too heavy to come with every page: Python sends it, through the comm, when it is first needed.
 *
 * What shows something of it reads a signal, and is drawn again once the bundle is there.
 */
import { signal } from "@preact/signals";

/** A bundle of which `open` makes what is used, of what was sent. */
export function bundle(open) {
  const opened = signal(null);
  let ask = null;
  let asked = false;

  async function load() {
    asked = true;
    try {
      opened.value = await open(await ask());
    } catch (problem) {
      console.error(problem);
      asked = false;
    }
  }

  return {
    /** Null until it is there; to read this asks for nothing. */
    opened,
    /** Have `fetch` ask for it. */
    from(fetch) {
      ask = fetch;
    },
    /** What was opened, or null: then it is asked for, unless it was already. */
    need() {
      if (!opened.value && ask && !asked) load();
      return opened.value;
    },
  };
}

/** The module that `source` is. */
export async function importText(source) {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return await import(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}
