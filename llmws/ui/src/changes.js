/**
 * Changes of conversations that are on their way to the store: shown at once, and asked for one after the other. What is
 * heard of a conversation meanwhile does not know of them: they stand over it until they are kept, or refused.
 */
export class Changes {
  /** Resolves once all that was changed so far is kept, or refused: an answer depends on it. */
  kept = Promise.resolve();
  #page;
  #known = new Map();
  #waiting = new Map();

  constructor(page) {
    this.#page = page;
  }

  /** `chat`, which was just heard of, as it is to be shown. */
  over(chat) {
    const waiting = this.#waiting.get(chat.id);
    if (!waiting) return chat;
    this.#known.set(chat.id, chat);
    return Object.assign({}, chat, ...waiting);
  }

  /** Change `values` of `chat` by `intent`; false where they cannot be kept, and are as they were. */
  make(chat, intent, values) {
    const { id } = chat;
    const waiting = this.#waiting.get(id) ?? [];
    if (!waiting.length) this.#known.set(id, chat);
    this.#waiting.set(id, [...waiting, values]);
    this.#page.know(this.#known.get(id));
    return this.after(() => this.#ask(id, intent, values));
  }

  /** Do `work` once all that was changed so far is kept, or refused; what is asked later waits for it as well. */
  after(work) {
    const done = this.kept.then(work);
    // What goes wrong in one of them holds up no other.
    this.kept = done.catch(() => {});
    return done;
  }

  async #ask(id, intent, values) {
    const settled = (chat) => {
      this.#settle(id, values);
      this.#page.know(chat);
    };
    const done = await this.#page.attempt(intent, { id, ...values }, settled);
    if (!done) settled(this.#known.get(id));
    return done;
  }

  #settle(id, values) {
    const waiting = (this.#waiting.get(id) ?? []).filter((one) => one !== values);
    if (waiting.length) this.#waiting.set(id, waiting);
    else this.#waiting.delete(id);
  }
}
